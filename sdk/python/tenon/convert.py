"""Converts single values between JSON and Python, for declared inputs and outputs. An error names the path of the element."""

from typing import Any, Callable, Dict

from .errors import BadRequest

Converter = Callable[[Any, str], Any]
"""From a value and its path to the converted value; raises Invalid."""

_TRUE = frozenset(("true", "t", "yes", "y", "on", "1"))
_SHOWN_CHARS = 40
_EXPONENT_MAX = 308
"""Decimals may be as large, and as small, as other numbers."""
_FALSE = frozenset(("false", "f", "no", "n", "off", "0", ""))


class Invalid(BadRequest):
    """An element is missing or of the wrong type."""

    def __init__(self, path: str, expected: str) -> None:
        super().__init__(None, f"Invalid input: {path or '/'}: {expected}", path=path or "/")
        self.wrong = expected
        """What is wrong, without the path."""


class Missing(Invalid):
    """A required element is missing."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "the element is missing")


def kind(value: Any) -> str:
    """What a caller calls the type of a value."""
    if value is None:
        return "null"
    names: Dict[type, str] = {bool: "boolean", int: "number", float: "number", str: "text", list: "array", dict: "object"}
    return "object" if isinstance(value, dict) else names.get(type(value), type(value).__name__)


def _fail(path: str, expected: str, value: Any) -> Invalid:
    shown = ""
    if isinstance(value, (str, float)) or (isinstance(value, int) and -(10**18) < value < 10**18):
        shown = f" {value!r}" if len(str(value)) <= _SHOWN_CHARS else ""
    return Invalid(path, f"expected {expected}, found {kind(value)}{shown}")


def _without_underscore(value: Any) -> Any:
    """The value; ValueError for 1_000, which Python takes for a number, and callers do not."""
    if isinstance(value, str) and "_" in value:
        raise ValueError
    return value


def as_is(value: Any, path: str) -> Any:
    return value


def to_text(value: Any, path: str) -> Any:
    """Text; numbers and booleans as their text, as the users of untyped elements expect."""
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        return str(value)
    raise _fail(path, "text", value)


def to_text_or_structure(value: Any, path: str) -> Any:
    """Like to_text, but objects and arrays stay what they are: for elements without a type."""
    return value if isinstance(value, (str, dict, list)) or value is None else str(value)


def to_int(value: Any, path: str) -> int:
    if type(value) is int:
        return value
    if isinstance(value, str):
        try:
            return int(_without_underscore(value))
        except ValueError:
            pass
    elif isinstance(value, float) and value.is_integer():
        return int(value)
    raise _fail(path, "a whole number", value)


def to_float(value: Any, path: str) -> float:
    if type(value) is float:
        return value
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            number = float(_without_underscore(value))
            if number - number == 0:
                return number
        except (ValueError, OverflowError):
            pass
    raise _fail(path, "a number", value)


def to_bool(value: Any, path: str) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower() if isinstance(value, (str, int)) else None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise _fail(path, "true or false", value)


def to_decimal(value: Any, path: str) -> Any:
    from decimal import Decimal, InvalidOperation

    if isinstance(value, (int, float, str, Decimal)) and not isinstance(value, bool):
        try:
            number = Decimal(str(value)) if not isinstance(value, Decimal) else value
            # A number of a million digits takes three bytes to ask for.
            if number.is_finite() and abs(number.adjusted()) <= _EXPONENT_MAX:
                return number
        except (InvalidOperation, ValueError):
            pass
    raise _fail(path, "a decimal number", value)


def to_datetime(value: Any, path: str) -> Any:
    from datetime import datetime

    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value[:-1] + "+00:00" if value[-1:] in "Zz" and value else value)
        except ValueError:
            pass
    raise _fail(path, "a date and time in ISO 8601", value)


def to_date(value: Any, path: str) -> Any:
    from datetime import date

    if isinstance(value, date):
        return value
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise _fail(path, "a date in ISO 8601", value)


def to_uuid(value: Any, path: str) -> Any:
    from uuid import UUID

    if isinstance(value, UUID):
        return value
    if isinstance(value, str):
        try:
            return UUID(value)
        except ValueError:
            pass
    raise _fail(path, "a UUID", value)


def to_dict(value: Any, path: str) -> Any:
    if isinstance(value, dict):
        return value
    raise _fail(path, "an object", value)


def to_list(value: Any, path: str) -> Any:
    if isinstance(value, (list, tuple)):
        return list(value)
    raise _fail(path, "an array", value)


def to_dict_list(value: Any, path: str) -> Any:
    return [to_dict(item, f"{path}[{index}]") for index, item in enumerate(to_list(value, path))]


def to_csv(value: Any, path: str) -> Any:
    """A list, from a list or from text with commas; a number is a list of one."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    return value.split(",") if isinstance(value, str) else to_list(value, path)
