"""The current time, in the forms that services need."""

from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any, Optional, Union

TimeZone = Union[str, tzinfo, None]


def _zone(name: TimeZone) -> Optional[tzinfo]:
    if name is None or isinstance(name, tzinfo):
        return name
    if name.upper() == "UTC":
        return timezone.utc
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


# The letters of the formats that service files use, longest first, and what strftime calls them.
_TOKENS = (
    ("YYYY", "%Y"),
    ("YY", "%y"),
    ("MMMM", "%B"),
    ("MMM", "%b"),
    ("MM", "%m"),
    ("dddd", "%A"),
    ("ddd", "%a"),
    ("DD", "%d"),
    ("HH", "%H"),
    ("hh", "%I"),
    ("mm", "%M"),
    ("ss", "%S"),
    ("SSSSSS", "%f"),
    ("ZZ", "%z"),
    ("A", "%p"),
)


def _strftime(format: str) -> str:
    """A format such as YYYY-MM-DD as strftime wants it; one with percent signs is left alone."""
    if "%" in format:
        return format
    written, at = [], 0
    while at < len(format):
        for token, directive in _TOKENS:
            if format.startswith(token, at):
                written.append(directive)
                at += len(token)
                break
        else:
            written.append(format[at])
            at += 1
    return "".join(written)


class Time:
    """The current time: a datetime, or text if a format is given, such as `YYYY-MM-DD HH:mm:ss`."""

    @staticmethod
    def _give(moment: datetime, format: Optional[str]) -> Any:
        if format is None:
            return moment
        return moment.isoformat() if format == "iso" else moment.strftime(_strftime(format))

    def now(self, format: Optional[str] = None, tz: TimeZone = None, *, needs_format: bool = True, delta: Optional[timedelta] = None) -> Any:
        """Now, in the local or the given time zone."""
        moment = datetime.now(_zone(tz))
        if delta is not None:
            moment += delta
        return self._give(moment, format if needs_format else None)

    def utcnow(self, format: Optional[str] = None, *, needs_format: bool = True) -> Any:
        """Now in UTC."""
        return self._give(datetime.now(timezone.utc), format if needs_format else None)

    def isonow(self, tz: TimeZone = None, *, needs_format: bool = True, _format: str = "iso") -> str:
        """Now as ISO 8601 has it."""
        return datetime.now(_zone(tz)).isoformat()

    def isoutcnow(self, *, needs_format: bool = True) -> str:
        """Now in UTC as ISO 8601 has it."""
        return datetime.now(timezone.utc).isoformat()

    def utcnow_as_float(self) -> float:
        """Seconds since 1970."""
        return datetime.now(timezone.utc).timestamp()

    def today(self, format: str = "YYYY-MM-DD", tz: TimeZone = None, *, needs_format: bool = True) -> Any:
        """Today's date."""
        return self._day(0, format, tz, needs_format)

    def yesterday(self, format: str = "YYYY-MM-DD", tz: TimeZone = None, *, needs_format: bool = True) -> Any:
        """Yesterday's date."""
        return self._day(-1, format, tz, needs_format)

    def tomorrow(self, format: str = "YYYY-MM-DD", tz: TimeZone = None, *, needs_format: bool = True) -> Any:
        """Tomorrow's date."""
        return self._day(1, format, tz, needs_format)

    def one_day_from(self, moment: Union[str, datetime], format: Optional[str] = "YYYY-MM-DD", tz: TimeZone = None) -> Any:
        """A day later."""
        return self._later(moment, timedelta(days=1), format)

    def one_hour_from(self, moment: Union[str, datetime], format: Optional[str] = "iso", tz: TimeZone = None) -> Any:
        """An hour later."""
        return self._later(moment, timedelta(hours=1), format)

    def one_minute_from(self, moment: Union[str, datetime], format: Optional[str] = "iso", tz: TimeZone = None) -> Any:
        """A minute later."""
        return self._later(moment, timedelta(minutes=1), format)

    def reformat(self, value: str, from_: str, to: str) -> str:
        """A time in another format."""
        return datetime.strptime(value, _strftime(from_)).strftime(_strftime(to))

    def _day(self, days: int, format: str, tz: TimeZone, needs_format: bool) -> Any:
        return self._give(datetime.now(_zone(tz)) + timedelta(days=days), format if needs_format else None)

    def _later(self, moment: Union[str, datetime], delta: timedelta, format: Optional[str]) -> Any:
        if isinstance(moment, str):
            moment = datetime.fromisoformat(moment[:-1] + "+00:00" if moment.endswith("Z") else moment)
        return self._give(moment + delta, format)
