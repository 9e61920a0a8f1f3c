"""The time in tests: it stands still until a test moves it."""

import threading
import time
from datetime import datetime, timedelta, timezone
from typing import Union

from ..times import from_iso


class Clock:
    """A clock that a test sets and moves. What sleeps in a service moves it too, without waiting."""

    def __init__(self, now: Union[str, datetime, float, None] = None) -> None:
        self._lock = threading.Lock()
        self._now = time.time() if now is None else _seconds(now)

    def __call__(self) -> float:
        """Seconds since 1970."""
        return self._now

    @property
    def now(self) -> datetime:
        """The time, in UTC."""
        return datetime.fromtimestamp(self._now, timezone.utc)

    def set(self, now: Union[str, datetime, float]) -> None:
        """Sets the time: a datetime, an ISO 8601 text (in UTC unless it says otherwise) or seconds since 1970."""
        self._now = _seconds(now)

    def advance(self, seconds: float = 0, *, minutes: float = 0, hours: float = 0, days: float = 0) -> None:
        """Moves the time on."""
        with self._lock:
            self._now += timedelta(seconds=seconds, minutes=minutes, hours=hours, days=days).total_seconds()


def _seconds(now: Union[str, datetime, float, None]) -> float:
    if isinstance(now, str):
        now = from_iso(now)
    if isinstance(now, datetime):
        return (now if now.tzinfo else now.replace(tzinfo=timezone.utc)).timestamp()
    return float(now or 0)
