"""JSON for payloads: one encoder and one decoder, made once, because making them costs more than a small payload.

Values that JSON does not know are written as callers expect them: a Decimal as a number, a date or time in ISO 8601,
a UUID as text, a Model or dataclass as an object, a set as an array, an Enum as its value, bytes as the text they hold.
"""

import sys
from json import encoder as json_encoder
from json.decoder import JSONDecoder
from json.encoder import JSONEncoder
from typing import Any, Callable, List, Tuple, cast

_DIGITS_MAX = 308
"""How many digits a decimal may have to be written as a whole number."""


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise ValueError(f"the number {text[:20]} is too large")
    return number


class TooDeep(ValueError):
    """JSON is nested too deeply."""


_decoder = JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
_scan = cast(Callable[[str, int], Tuple[Any, int]], _decoder.scan_once)  # type: ignore[attr-defined]


def loads(text: str) -> Any:
    """The value of a JSON text; ValueError if it is none."""
    try:
        value, end = _scan(text, 0)
        if end == len(text):
            return value
    except StopIteration:
        pass
    except RecursionError:
        raise TooDeep("it is nested too deeply") from None
    except ValueError as error:
        if "int_max_str_digits" not in str(error):
            raise
        raise ValueError("a number has too many digits") from None
    try:
        # White space around it, or an error to be described.
        return _decoder.decode(text)
    except RecursionError:
        raise TooDeep("it is nested too deeply") from None


def _is_from(value: Any, module: str, name: str) -> bool:
    """Whether a value is of a class of a module that perhaps was never imported."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(value, getattr(loaded, name))


def depth(text: str) -> int:
    """How deep the objects and arrays of a JSON text lie in each other."""
    import re

    deepest = level = 0
    # What is between quotes is no bracket.
    for part in re.findall(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', text):
        if part in "[{":
            level += 1
            deepest = max(deepest, level)
        elif part in "]}":
            level -= 1
    return deepest


def is_decimal(value: Any) -> bool:
    """Whether a value is a Decimal."""
    return _is_from(value, "decimal", "Decimal")


def plain(value: Any) -> Any:
    """A value as JSON can have it; called for values that JSON does not know."""
    to_dict = getattr(value, "to_dict", None)
    if to_dict is not None and not isinstance(value, type):
        return to_dict()
    if is_decimal(value):
        if not value.is_finite():
            raise ValueError(f"{value} can't be written as JSON")
        is_whole = value.as_tuple().exponent >= 0 and value.adjusted() <= _DIGITS_MAX
        return int(value) if is_whole else float(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if _is_from(value, "uuid", "UUID"):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return list(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return str(value, "utf-8")
    if _is_from(value, "enum", "Enum"):
        return value.value
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        fields = sys.modules["dataclasses"].fields(value)
        return {field.name: getattr(value, field.name) for field in fields if hasattr(value, field.name)}
    if _is_from(value, "collections.abc", "Mapping"):
        return dict(value)
    raise TypeError(f"a value of type {type(value).__name__} can't be written as JSON")


_escaped = JSONEncoder(check_circular=False, allow_nan=False, separators=(",", ":"), default=plain)


def _make_encode() -> Callable[[Any], str]:
    slow = JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"), default=plain)
    make = getattr(json_encoder, "c_make_encoder", None)
    if make is None:
        return slow.encode
    try:
        # What JSONEncoder.encode makes anew on every call.
        iterate: Callable[[Any, int], List[str]] = make(None, plain, json_encoder.encode_basestring, None, ":", ",", False, False, False)
        join = "".join
        if join(iterate({"a": [1, "é"]}, 0)) != '{"a":[1,"é"]}':
            return slow.encode
    except Exception:
        return slow.encode

    def encode(value: Any) -> str:
        return join(iterate(value, 0))

    return encode


dumps_text: Callable[[Any], str] = _make_encode()
"""The JSON text of a value, without white space."""


def dumps(value: Any) -> bytes:
    """The JSON of a value as UTF-8."""
    try:
        return dumps_text(value).encode()
    except UnicodeEncodeError:
        # A half of a surrogate pair, which UTF-8 does not have, but a JSON text may have sent.
        return _escaped.encode(value).encode()
    except RecursionError:
        raise TooDeep("the value contains itself, or is nested too deeply") from None
