"""What a cache is asked, and what it answers: the host calls that both ways of using a cache are made of."""

from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple

from . import payloads
from .host import HostReturn, call, check, milliseconds
from .protocol import FLAG_JSON

DEFAULT = "default"
"""The name of the cache that `self.cache.default` is."""


class CacheEntry(NamedTuple):
    """A value with what the cache knows of it, which `details=True` gives."""

    key: str
    value: Any
    expires_in: Optional[float]
    """Seconds until it ends; None if it does not by itself."""


class Found(NamedTuple):
    """What a key had."""

    found: bool
    value: Any
    expires_in: Optional[float]


def encoded(value: Any) -> Tuple[bytes, bool]:
    """The bytes of a value, and whether they are JSON."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value), False
    return payloads.dumps(value), True


def found_of(answer: HostReturn) -> Found:
    """What a key had, by the answer of the platform."""
    check(answer)
    described = answer.described()
    if not described.get("found"):
        return Found(False, None, None)
    expires = described.get("expires_in_ms")
    value: Any = answer.body
    if described.get("is_json") or answer.flags & FLAG_JSON:
        value = payloads.loads(str(value, "utf-8")) if value else None
    return Found(True, value, None if expires is None else expires / 1000)


def json_of(answer: HostReturn) -> Any:
    """The body of an answer; None if it has none."""
    check(answer)
    return payloads.loads(str(answer.body, "utf-8")) if answer.body else None


def count_of(answer: HostReturn) -> int:
    """How many there were, or the sum."""
    check(answer)
    return int(answer.described().get("count") or 0)


class CacheCalls:
    """What both ways of using a cache are made of."""

    def __init__(self, request: Any, name: str) -> None:
        self._request = request
        self.name = name

    def _ask(self, action: str, convert: Any, body: bytes = b"", is_json: bool = False, **more: Any) -> Any:
        return call(self._request, {"op": "cache", "action": action, "cache": self.name, **more}, convert, body, is_json)

    def _get(self, key: Any, convert: Callable[[Found], Any]) -> Any:
        return self._ask("get", lambda answer: convert(found_of(answer)), key=str(key))

    def _set(self, key: Any, value: Any, expiry: Any, convert: Callable[[Found], Any], if_absent: bool = False) -> Any:
        body, is_json = encoded(value)
        more: Dict[str, Any] = {"if_absent": True} if if_absent else {}
        if expiry:
            more["expiry_ms"] = milliseconds(expiry, "expiry")
        return self._ask("set", lambda answer: convert(found_of(answer)), body, is_json, key=str(key), **more)

    def _delete(self, key: Any, convert: Callable[[Found], Any]) -> Any:
        return self._ask("delete", lambda answer: convert(found_of(answer)), key=str(key))

    def _expire(self, key: Any, expiry: Any) -> Any:
        more: Dict[str, Any] = {"expiry_ms": milliseconds(expiry, "expiry")} if expiry else {}
        return self._ask("expire", lambda answer: found_of(answer).found, key=str(key), **more)

    def _exists(self, key: Any) -> Any:
        return self._ask("exists", lambda answer: found_of(answer).found, key=str(key))

    def _increment(self, key: Any, amount: int, expiry: Any = None) -> Any:
        more: Dict[str, Any] = {"expiry_ms": milliseconds(expiry, "expiry")} if expiry else {}
        return self._ask("increment", count_of, key=str(key), amount=int(amount), **more)

    def _keys(self, by: str = "", text: str = "") -> Any:
        more: Dict[str, Any] = {"by": by, "text": text} if by else {}
        return self._ask("keys", lambda answer: json_of(answer) or [], **more)
