"""Watches the leader: has another thread lead when a handler takes long, and learns which services are slow."""

import threading
import time
from typing import Any, Optional

from .context import Request
from .entry import Entry

TICK_SECONDS = 0.002
TICKS_IF_BLOCKED = 2
TICKS_IN_ANY_CASE = 10
IDLE_TICKS = 25
SLOW_TAKEOVERS = 3
SLOW_RATE = 0.02
SLOW_SECONDS_MIN = 1.0
SLOW_SECONDS_MAX = 60.0
RECENT_RUNS = 1000


class Monitor:
    """Looks every few milliseconds at what the leader does; sleeps when nothing is done."""

    def __init__(self, runtime: Any, sink: Any) -> None:
        self._runtime = runtime
        self._sink = sink
        self._event = threading.Event()
        self.sleeps = False

    def start(self) -> None:
        """Begins to watch."""
        threading.Thread(target=self._run, name="tenon-monitor", daemon=True).start()

    def wake(self) -> None:
        """Has it look at what is going on."""
        if self.sleeps:
            self.sleeps = False
            self._event.set()

    def _run(self) -> None:
        runtime = self._runtime
        turns = runtime.turns
        last: Optional[Request] = None
        ticks = idle = 0
        while True:
            time.sleep(TICK_SECONDS)
            if self._sink.has_dropped:
                self._sink.report()
                idle = 0
            busy: Optional[Request] = turns.busy
            if busy is None:
                last = None
                idle += 1
                if idle >= IDLE_TICKS:
                    self._sleep()
                    idle = 0
                continue
            idle = 0
            if busy is not last:
                last, ticks = busy, 0
                continue
            ticks += 1
            # A handler that takes this long must not hold up what was queued before it.
            runtime.flush()
            if ticks >= TICKS_IN_ANY_CASE or (ticks >= TICKS_IF_BLOCKED and _is_blocked(turns.leader_native_id)):
                if turns.take_over(busy):
                    note_takeover(busy._entry)
                last = None

    def _sleep(self) -> None:
        self._event.clear()
        self.sleeps = True
        # Whoever begins something looks at `sleeps` afterwards, so one of the two sees the other.
        if self._runtime.turns.busy is None and not self._sink.has_dropped:
            self._event.wait()
        self.sleeps = False


def _is_blocked(native_id: int) -> bool:
    """Whether a thread waits for something. One that waits for the interpreter looks the same."""
    try:
        with open(f"/proc/self/task/{native_id}/stat", "rb") as file:
            return file.read(128).rpartition(b")")[2][1:2] in (b"S", b"D")
    except OSError:
        return False


def note_takeover(entry: Entry) -> None:
    """Gives a service threads of its own for a while if it is taken over often: it is the rate that says that it is slow."""
    if entry.runs > RECENT_RUNS:
        entry.runs //= 2
        entry.takeovers //= 2
        entry.slow_seconds = 0.0
    entry.takeovers += 1
    if entry.takeovers >= SLOW_TAKEOVERS and entry.takeovers > entry.runs * SLOW_RATE:
        entry.slow_seconds = min(max(entry.slow_seconds * 2, SLOW_SECONDS_MIN), SLOW_SECONDS_MAX)
        entry.slow_until = time.monotonic() + entry.slow_seconds
        entry.runs = entry.takeovers = 0
