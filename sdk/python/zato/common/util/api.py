"""Functions, as existing service files import them."""

import re
import secrets
import time
import unicodedata
from datetime import datetime, timezone
from typing import Any, Callable, Dict, Iterable, List, Optional

from tenon.convert import Invalid, to_bool
from tenon.names import with_dashes
from tenon.spawning import Spawned
from tenon.spawning import spawn as _spawn
from tenon.times import from_iso

_CID_BYTES = 12


def asbool(value: Any) -> bool:
    """The boolean that a text such as `true`, `on` or `0` stands for; ValueError if it stands for none."""
    try:
        return to_bool(value, "")
    except Invalid:
        raise ValueError(f"{value!r} is neither true nor false") from None


as_bool = asbool


def new_cid(bytes: int = _CID_BYTES, *args: Any, **kwargs: Any) -> str:
    """A new correlation id."""
    return secrets.token_hex(bytes)


def spawn_greenlet(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Spawned:
    """Runs a function in a thread of its own."""
    return _spawn(function, args, kwargs)


spawn = spawn_greenlet


def utcnow() -> datetime:
    """Now in UTC, without a time zone."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


def utcnow_as_ms() -> float:
    """Seconds since 1970."""
    return datetime.now(timezone.utc).timestamp()


def datetime_from_ms(milliseconds: float, *, isoformat: bool = True) -> Any:
    """The time that is so many milliseconds after 1970."""
    moment = datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
    return moment.isoformat() if isoformat else moment


def fs_safe_name(value: str) -> str:
    """A text that can be the name of a file."""
    return re.sub(r"\W+", "_", value)


def fs_safe_now() -> str:
    """Now, as a text that can be the name of a file."""
    return fs_safe_name(utcnow().isoformat())


def slugify(value: str) -> str:
    """A text in lower-case ASCII letters, digits and dashes."""
    text = unicodedata.normalize("NFKD", value).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", text).strip("-")


def make_repr(instance: Any) -> str:
    """An object with its attributes, for logs."""
    return f"<{type(instance).__name__} {vars(instance)}>"


def grouper(size: int, items: Iterable[Any], fillvalue: Optional[Any] = None) -> Iterable[Any]:
    """Items in groups of a size; the last one is filled up."""
    from itertools import zip_longest

    return zip_longest(*[iter(items)] * size, fillvalue=fillvalue)


def parse_extra_into_dict(lines: str, convert_bool: bool = True) -> Dict[str, Any]:
    """Lines such as `key=value` as a dict; empty ones and comments are left out."""
    found: Dict[str, Any] = {}
    for line in filter(None, (each.strip() for each in lines.splitlines())):
        if line.startswith("#"):
            continue
        key, separator, value = line.partition("=")
        if not separator:
            raise ValueError(f"there is no '=' in {line!r}")
        text = value.strip()
        as_boolean = {"true": True, "false": False}.get(text.lower()) if convert_bool else None
        found[key.strip()] = as_boolean if as_boolean is not None else int(text) if text.isdigit() else text
    return found


def as_list(value: Any, separator: str = ",") -> List[str]:
    """The parts of a text, without white space around them; of a list its items."""
    parts = value.split(separator) if isinstance(value, str) else value or ()
    return [str(each).strip() for each in parts]


def current_host() -> str:
    """The name of the machine."""
    import socket

    return socket.gethostname()


def new_msg_id(prefix: str = "") -> str:
    """A new name for a message."""
    return prefix + secrets.token_hex(_CID_BYTES)


def needs_suffix(item: Any) -> bool:
    """Whether what there are so many of, or the items of a list, is in the plural."""
    return (item if isinstance(item, int) else len(item)) != 1


def is_boolean(value: Any) -> bool:
    """Whether a text stands for a boolean: true, false and the like."""
    return isinstance(value, str) and value.lower() in ("true", "false", "yes", "no", "on", "off")


def is_integer(value: Any) -> bool:
    """Whether a value is a whole number, or its text."""
    try:
        int(value)
    except (TypeError, ValueError):
        return False
    return True


def parse_datetime(value: str) -> datetime:
    """The date and time that a text in ISO 8601 stands for; ValueError if it stands for none."""
    return from_iso(value)


def uncamelify(value: str, separator: str = "-", elem_func: Callable[[str], str] = str.lower) -> str:
    """`GetUserData` as `get-user-data`."""
    return separator.join(elem_func(each) for each in with_dashes(value, " ").split())


def pretty_format_exception(error: BaseException, cid: str = "", *args: Any, **kwargs: Any) -> str:
    """An exception with its traceback, for logs."""
    import traceback

    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return f"{cid}\n{text}" if cid else text


def wait_for_predicate(predicate: Callable[[], Any], timeout: float, interval: float, *args: Any, **kwargs: Any) -> bool:
    """Waits until something is true, for so many seconds at most; whether it is."""
    deadline = time.monotonic() + timeout
    while not predicate():
        if time.monotonic() >= deadline:
            return False
        time.sleep(interval)
    return True
