"""Sends what services log and print to the server, as log frames with the correlation id, within limits.

What a service prints must neither block it nor fill the server: lines are cut, and when there are too many, they are dropped and counted.
"""

import io
import logging
import sys
import threading
import time
from typing import Any, Callable, Dict, Iterable, List, Optional, Set

from .current import CURRENT

LINE_LIMIT_CHARS = 8 << 10
LINES_PER_SECOND = 2_000
CHARS_PER_SECOND = 2 << 20
BURST_SECONDS = 2.0
_REPORT_SECONDS = 1.0

Send = Callable[[Dict[str, Any]], None]
"""Sends the fields of a log line."""


class Budget:
    """How many lines and characters may still be sent, and how many were not."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lines = LINES_PER_SECOND * BURST_SECONDS
        self._chars = CHARS_PER_SECOND * BURST_SECONDS
        self._at = now()
        self.dropped_lines = 0
        self.dropped_chars = 0
        self._dropped_since = 0.0

    def take(self, chars: int) -> bool:
        """Whether a line of this length may be sent."""
        now = self._now()
        passed = now - self._at
        if passed > 0.001:
            self._at = now
            self._lines = min(self._lines + passed * LINES_PER_SECOND, LINES_PER_SECOND * BURST_SECONDS)
            self._chars = min(self._chars + passed * CHARS_PER_SECOND, CHARS_PER_SECOND * BURST_SECONDS)
        if self._lines < 1 or self._chars < chars:
            self.drop(1, chars)
            return False
        self._lines -= 1
        self._chars -= chars
        return True

    def drop(self, lines: int, chars: int) -> None:
        """Counts lines that are not sent."""
        if not self.dropped_lines:
            self._dropped_since = self._now()
        self.dropped_lines += lines
        self.dropped_chars += chars

    def report(self, at_once: bool = False) -> Optional[str]:
        """A sentence about what was dropped, once a second at most."""
        if not self.dropped_lines or (not at_once and self._now() - self._dropped_since < _REPORT_SECONDS):
            return None
        limit = f"{LINES_PER_SECOND} lines or {CHARS_PER_SECOND >> 20} MiB a second"
        said = f"{self.dropped_lines} lines ({self.dropped_chars} characters) were dropped: more than {limit}"
        self.dropped_lines = self.dropped_chars = 0
        return said


class LogSink:
    """Where log records and printed lines go."""

    def __init__(self, send: Send, wake: Callable[[], None] = lambda: None) -> None:
        self._send = send
        self._wake = wake
        self._lock = threading.Lock()
        self._budgets: Dict[str, Budget] = {}

    def write(self, level: str, logger: str, message: str, budget_name: str = "logging") -> None:
        """Sends a line, or counts it as dropped."""
        if len(message) > LINE_LIMIT_CHARS:
            message = f"{message[:LINE_LIMIT_CHARS]}… ({len(message) - LINE_LIMIT_CHARS} characters more)"
        with self._lock:
            if not self._budget(budget_name).take(len(message)):
                self._wake()
                return
        self._deliver(level, logger, message)

    def drop(self, budget_name: str, lines: int, chars: int) -> None:
        """Counts lines that are not even cut out of their text."""
        with self._lock:
            self._budget(budget_name).drop(lines, chars)
        self._wake()

    def is_exhausted(self, budget_name: str) -> bool:
        """Whether lines are being dropped."""
        return bool(self._budget(budget_name).dropped_lines)

    @property
    def has_dropped(self) -> bool:
        """Whether there is something to report."""
        return any(each.dropped_lines for each in self._budgets.values())

    def report(self, at_once: bool = False) -> None:
        """Says how many lines were dropped."""
        for name, budget in list(self._budgets.items()):
            with self._lock:
                said = budget.report(at_once)
            if said:
                self._deliver("WARNING", name, said)

    def _budget(self, name: str) -> Budget:
        budget = self._budgets.get(name)
        if budget is None:
            budget = self._budgets[name] = Budget()
        return budget

    def _deliver(self, level: str, logger: str, message: str) -> None:
        request = CURRENT.get()
        fields = {"level": level, "logger": logger, "message": message}
        if request is None:
            fields.update(cid="", service="")
        else:
            fields.update(cid=request.cid, service=request._entry.name)
        self._send(fields)


class LogHandler(logging.Handler):
    """The handler of the root logger."""

    def __init__(self, sink: LogSink) -> None:
        super().__init__()
        self._sink = sink
        self.setFormatter(logging.Formatter())

    def createLock(self) -> None:  # noqa: N802 - logging's name
        # The sink has its own lock, and this one would be held while a frame is sent.
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        if self.filter(record):
            self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._sink.write(record.levelname, record.name, self.format(record))
        except Exception as error:
            # A log line with wrong arguments must not stop the service.
            self._sink.write("ERROR", record.name, f"a log line can't be written: {error!r}: {record.msg!r}")


class LogStream(io.TextIOBase):
    """Takes the place of sys.stdout or sys.stderr."""

    encoding = "utf-8"
    errors = "backslashreplace"
    newlines = None

    def __init__(self, sink: LogSink, name: str, level: str, original: Any) -> None:
        super().__init__()
        self._sink = sink
        self.name = name
        self._level = level
        self._original = original
        self._parts = threading.local()
        self.partial_lines: Set[int] = set()
        self.buffer = _LogBuffer(self)

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        size = len(text)
        parts: Optional[List[str]] = getattr(self._parts, "parts", None)
        if parts is None:
            parts = self._parts.parts = []
            self._parts.size = 0
        end = text.find("\n")
        if end < 0:
            if self._parts.size < LINE_LIMIT_CHARS:
                parts.append(text[: LINE_LIMIT_CHARS + 1])
            self._parts.size += size
            self.partial_lines.add(threading.get_ident())
            return size
        start = 0
        if parts:
            self._write_line("".join(parts) + text[: min(end, LINE_LIMIT_CHARS + 1)])
            parts.clear()
            start = end + 1
            end = text.find("\n", start)
        while end >= 0:
            self._write_line(text[start : min(end, start + LINE_LIMIT_CHARS + 1)])
            start = end + 1
            if self._sink.is_exhausted(self.name):
                rest = text.count("\n", start)
                if rest:
                    last = text.rfind("\n")
                    self._sink.drop(self.name, rest, last - start)
                    start = last + 1
                break
            end = text.find("\n", start)
        self._parts.size = size - start
        if start < size:
            parts.append(text[start : start + LINE_LIMIT_CHARS + 1])
            self.partial_lines.add(threading.get_ident())
        return size

    def _write_line(self, line: str) -> None:
        if line:
            self._sink.write(self._level, self.name, line, self.name)

    def writelines(self, lines: Iterable[str]) -> None:  # type: ignore[override]
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Nothing: a line is sent when it ends."""

    def finish(self) -> None:
        """Sends what this thread printed without an end of line."""
        self.partial_lines.discard(threading.get_ident())
        parts = getattr(self._parts, "parts", None)
        if parts:
            self._write_line("".join(parts))
            parts.clear()
            self._parts.size = 0

    def fileno(self) -> int:
        return int(self._original.fileno())

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False


class _LogBuffer(io.RawIOBase):
    """sys.stdout.buffer."""

    def __init__(self, stream: LogStream) -> None:
        super().__init__()
        self._stream = stream

    def write(self, data: Any) -> int:
        text = str(bytes(data), "utf-8", "backslashreplace")
        self._stream.write(text)
        return len(data)

    def writable(self) -> bool:
        return True


def install(sink: LogSink) -> None:
    """Sends everything that is logged and printed from now on to the sink."""
    root = logging.getLogger()
    root.handlers[:] = [LogHandler(sink)]
    root.setLevel(logging.INFO)
    logging.raiseExceptions = False
    sys.stdout = LogStream(sink, "stdout", "INFO", sys.stdout)
    sys.stderr = LogStream(sink, "stderr", "WARNING", sys.stderr)
