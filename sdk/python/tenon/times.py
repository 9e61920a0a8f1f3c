"""The current time, in the forms that services need."""

import time
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

TimeZone = Union[str, tzinfo, None]
"""A time zone by its name, such as `Europe/Zurich`, or itself; `local` and None are the machine's own."""

DATE_TIME = "YYYY-MM-DD HH:mm:ss"
DATE = "YYYY-MM-DD"
ISO = "YYYY-MM-DDTHH:mm:ss.SSSSSS"


def zone_of(name: TimeZone) -> Optional[tzinfo]:
    """The time zone of a name; None for the machine's own. ValueError if there is none of this name."""
    if name is None or isinstance(name, tzinfo):
        return name
    if name.upper() == "UTC":
        return timezone.utc
    if name.lower() == "local":
        return None
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError):
        raise ValueError(f"there is no time zone '{name}'") from None


def _offset(moment: datetime, colon: str) -> str:
    seconds = int((moment.utcoffset() or timedelta()).total_seconds())
    sign, minutes = "-" if seconds < 0 else "+", abs(seconds) // 60
    return f"{sign}{minutes // 60:02}{colon}{minutes % 60:02}"


def _ordinal(number: int) -> str:
    return f"{number}{'th' if 10 <= number % 100 <= 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


_Write = Callable[[datetime], str]

# The letters of the formats that service files use, longest first where one begins another; how each is written, and a pattern
# with the name of the part that it reads, where it can be read.
_TOKENS: Tuple[Tuple[str, _Write, str, str], ...] = (
    ("YYYY", lambda m: f"{m.year:04}", "year", r"\d{4}"),
    ("YY", lambda m: f"{m.year % 100:02}", "short_year", r"\d{2}"),
    ("MMMM", lambda m: m.strftime("%B"), "month_name", r"[^\W\d_]+"),
    ("MMM", lambda m: m.strftime("%b"), "month_name", r"[^\W\d_]+"),
    ("MM", lambda m: f"{m.month:02}", "month", r"\d{2}"),
    ("M", lambda m: str(m.month), "month", r"\d{1,2}"),
    ("DDDD", lambda m: m.strftime("%j"), "", ""),
    ("DDD", lambda m: str(m.timetuple().tm_yday), "", ""),
    ("DD", lambda m: f"{m.day:02}", "day", r"\d{2}"),
    ("Do", lambda m: _ordinal(m.day), "", ""),
    ("D", lambda m: str(m.day), "day", r"\d{1,2}"),
    ("dddd", lambda m: m.strftime("%A"), "weekday", r"[^\W\d_]+"),
    ("ddd", lambda m: m.strftime("%a"), "weekday", r"[^\W\d_]+"),
    ("d", lambda m: str(m.isoweekday()), "", ""),
    ("HH", lambda m: f"{m.hour:02}", "hour", r"\d{2}"),
    ("H", lambda m: str(m.hour), "hour", r"\d{1,2}"),
    ("hh", lambda m: f"{(m.hour - 1) % 12 + 1:02}", "short_hour", r"\d{2}"),
    ("h", lambda m: str((m.hour - 1) % 12 + 1), "short_hour", r"\d{1,2}"),
    ("mm", lambda m: f"{m.minute:02}", "minute", r"\d{2}"),
    ("m", lambda m: str(m.minute), "minute", r"\d{1,2}"),
    ("ss", lambda m: f"{m.second:02}", "second", r"\d{2}"),
    ("s", lambda m: str(m.second), "second", r"\d{1,2}"),
    ("SSSSSS", lambda m: f"{m.microsecond:06}", "fraction", r"\d{6}"),
    ("SSS", lambda m: f"{m.microsecond // 1000:03}", "fraction", r"\d{3}"),
    ("ZZZ", lambda m: m.tzname() or "", "", ""),
    ("ZZ", lambda m: _offset(m, ":"), "offset", r"Z|[+-]\d\d:?\d\d"),
    ("Z", lambda m: _offset(m, ""), "offset", r"Z|[+-]\d\d:?\d\d"),
    ("A", lambda m: "AM" if m.hour < 12 else "PM", "half", r"[AaPp][Mm]"),
    ("a", lambda m: "am" if m.hour < 12 else "pm", "half", r"[AaPp][Mm]"),
    ("X", lambda m: str(int(m.timestamp())), "timestamp", r"\d+"),
)

_Part = Tuple[str, Optional[_Write], str, str]
_parsed: Dict[str, List[_Part]] = {}
_FORMATS_KEPT = 200


def _parts(format: str) -> List[_Part]:
    """A format in pieces: what is to be written as it is, and letters that stand for something."""
    parts = _parsed.get(format)
    if parts is None:
        parts, at = [], 0
        while at < len(format):
            if format[at] == "[" and "]" in format[at:]:
                end = format.index("]", at)
                parts.append((format[at + 1 : end], None, "", ""))
                at = end + 1
                continue
            found = next((token for token in _TOKENS if format.startswith(token[0], at)), None)
            parts.append(found or (format[at], None, "", ""))
            at += len(found[0]) if found else 1
        if len(_parsed) < _FORMATS_KEPT:
            _parsed[format] = parts
    return parts


def written(moment: datetime, format: Optional[str]) -> Any:
    """A moment as text: in a format of letters (`YYYY-MM-DD`), of percent signs (`%Y-%m-%d`), or `iso`; itself without a format."""
    if format is None:
        return moment
    if format == "iso":
        return moment.isoformat()
    if "%" in format:
        return moment.strftime(format)
    return "".join(text if write is None else write(moment) for text, write, _, _ in _parts(format))


def parsed(text: str, format: str) -> datetime:
    """The moment that a text names in a format; ValueError if it does not fit."""
    if format == "iso":
        return from_iso(text)
    if "%" in format:
        return datetime.strptime(text, format)
    import re

    pattern = ""
    for literal, write, name, reads in _parts(format):
        if write is None:
            pattern += re.escape(literal)
        elif not name:
            raise ValueError(f"'{literal}' can be written, but not read")
        else:
            pattern += f"(?P<{name}>{reads})"
    found = re.fullmatch(pattern, text)
    if found is None:
        raise ValueError(f"'{text}' is not as '{format}' has it")
    return _assembled({name: value for name, value in found.groupdict().items() if value is not None})


def _assembled(parts: Dict[str, str]) -> datetime:
    if "timestamp" in parts:
        return datetime.fromtimestamp(int(parts["timestamp"]), timezone.utc)
    year = int(parts.get("year") or 0) or 2000 + int(parts.get("short_year") or 1)
    if "short_year" in parts and year >= 2069:
        year -= 100
    month = int(parts.get("month") or 1)
    if "month_name" in parts:
        name = parts["month_name"].lower()
        names = [datetime(2000, each, 1).strftime("%B").lower() for each in range(1, 13)]
        months = [index for index, each in enumerate(names, 1) if each.startswith(name[:3])]
        if not months:
            raise ValueError(f"there is no month '{parts['month_name']}'")
        month = months[0]
    hour = int(parts.get("hour") or parts.get("short_hour") or 0)
    if "half" in parts:
        hour = hour % 12 + (12 if parts["half"].lower() == "pm" else 0)
    zone: Optional[tzinfo] = None
    offset = parts.get("offset")
    if offset:
        digits = offset.replace(":", "")
        minutes = 0 if offset == "Z" else (int(digits[1:3]) * 60 + int(digits[3:5])) * (-1 if digits[0] == "-" else 1)
        zone = timezone(timedelta(minutes=minutes))
    fraction = int((parts.get("fraction") or "0").ljust(6, "0"))
    return datetime(year, month, int(parts.get("day") or 1), hour, int(parts.get("minute") or 0), int(parts.get("second") or 0), fraction, zone)


def from_iso(text: str) -> datetime:
    """The moment of an ISO 8601 text."""
    return datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)


class Time:
    """The current time as text in a format such as `YYYY-MM-DD HH:mm:ss`, or as a datetime with `needs_format=False`.

    The letters of formats: YYYY YY, MMMM MMM MM M, DD D Do DDD, dddd ddd d, HH H hh h A a, mm m, ss s, SSS SSSSSS, Z ZZ ZZZ, X.
    What is in square brackets stands for itself. A format with percent signs is one of strftime.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def _moment(self, tz: TimeZone) -> datetime:
        return datetime.fromtimestamp(self._clock(), timezone.utc).astimezone(zone_of(tz))

    def now(self, format: Optional[str] = DATE_TIME, tz: TimeZone = None, needs_format: bool = True, delta: Optional[timedelta] = None) -> Any:
        """Now, in the local or the given time zone; `delta` is added to it."""
        moment = self._moment(tz)
        if delta is not None:
            moment += delta
        return written(moment, format) if needs_format else moment

    def utcnow(self, format: Optional[str] = DATE_TIME, needs_format: bool = True) -> Any:
        """Now in UTC."""
        return self.now(format, timezone.utc, needs_format)

    def isonow(self, tz: TimeZone = None, needs_format: bool = True, _format: str = ISO) -> Any:
        """Now as ISO 8601 has it, without the offset: `2026-05-01T12:30:00.000000`."""
        return self.now(_format, tz, needs_format)

    def isoutcnow(self, needs_format: bool = True, _format: str = ISO) -> Any:
        """Now in UTC as ISO 8601 has it, without the offset."""
        return self.now(_format, timezone.utc, needs_format)

    def utcnow_as_float(self) -> float:
        """Seconds since 1970."""
        return self._clock()

    def today(self, format: Optional[str] = DATE, tz: TimeZone = None, needs_format: bool = True) -> Any:
        """Today's date."""
        return self.now(format, tz, needs_format)

    def yesterday(self, format: Optional[str] = DATE, tz: TimeZone = None, needs_format: bool = True) -> Any:
        """Yesterday's date."""
        return self.now(format, tz, needs_format, timedelta(days=-1))

    def tomorrow(self, format: Optional[str] = DATE, tz: TimeZone = None, needs_format: bool = True) -> Any:
        """Tomorrow's date."""
        return self.now(format, tz, needs_format, timedelta(days=1))

    def one_day_from(self, moment: Union[str, datetime], format: Optional[str] = "iso", tz: TimeZone = None, needs_format: bool = True) -> Any:
        """A day after a moment, which is a datetime or an ISO 8601 text."""
        return self._later(moment, timedelta(days=1), format, tz, needs_format)

    def one_hour_from(self, moment: Union[str, datetime], format: Optional[str] = "iso", tz: TimeZone = None, needs_format: bool = True) -> Any:
        """An hour after a moment, which is a datetime or an ISO 8601 text."""
        return self._later(moment, timedelta(hours=1), format, tz, needs_format)

    def one_minute_from(self, moment: Union[str, datetime], format: Optional[str] = "iso", tz: TimeZone = None, needs_format: bool = True) -> Any:
        """A minute after a moment, which is a datetime or an ISO 8601 text."""
        return self._later(moment, timedelta(minutes=1), format, tz, needs_format)

    def reformat(self, value: str, from_: str, to: str) -> str:
        """A time in another format; ValueError if it is not as the first one has it."""
        return str(written(parsed(value, from_), to))

    @staticmethod
    def _later(moment: Union[str, datetime], delta: timedelta, format: Optional[str], tz: TimeZone, needs_format: bool) -> Any:
        later = (from_iso(moment) if isinstance(moment, str) else moment) + delta
        if tz is not None:
            # One without a time zone is taken as UTC, as everything else in the platform is.
            later = (later if later.tzinfo else later.replace(tzinfo=timezone.utc)).astimezone(zone_of(tz))
        return written(later, format) if needs_format else later
