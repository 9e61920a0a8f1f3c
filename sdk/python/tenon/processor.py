"""Keeps the lead on one processor: a thread that is woken on another one would find nothing of what the last one left in its caches,
which costs several times as much as the hand-over itself.

The woken thread is bound to the processor of the one that wakes it only until it runs: neither handlers nor what they start are.
"""

import os
from typing import Any, Callable, Optional

from .threads import Thread

try:
    import ctypes
except ImportError:
    # A Python that was built without it.
    ctypes = None  # type: ignore[assignment]

CurrentCpu = Callable[[], int]


class Processor:
    """Wakes threads where their waker is; does nothing where the system has no means for that, or only one processor."""

    def __init__(self) -> None:
        self._current_cpu = _current_cpu()
        if self._current_cpu is not None:
            # Whatever the administrator allows this process.
            self._allowed = os.sched_getaffinity(0)
            if len(self._allowed) < 2:
                self._current_cpu = None

    def bring(self, thread: Thread) -> None:
        """Has a thread wake up on this processor; called right before it is woken, and before the caller waits."""
        if self._current_cpu is None or not thread.native_id:
            return
        thread.is_bound = True
        try:
            os.sched_setaffinity(thread.native_id, (self._current_cpu(),))
        except OSError:
            self._current_cpu = None

    def let_go(self, thread: Thread) -> None:
        """Lets a thread run anywhere again; called by itself, as soon as it runs."""
        if not thread.is_bound:
            return
        thread.is_bound = False
        try:
            os.sched_setaffinity(0, self._allowed)
        except OSError:
            self._current_cpu = None


def _current_cpu() -> Optional[CurrentCpu]:
    """The C library's function for the number of the processor; Python has none of its own."""
    if ctypes is None or not hasattr(os, "sched_setaffinity"):
        return None
    try:
        # One that keeps the interpreter meanwhile: it takes less time than to let it go.
        found: Any = ctypes.PyDLL(None).sched_getcpu
        return found if found() >= 0 else None
    except (OSError, AttributeError):
        return None
