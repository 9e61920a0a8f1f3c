"""Caches and locks in memory, as the servers keep them."""

import re
import threading
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from .. import payloads
from ..host import HostReturn
from ..protocol import FLAG_JSON

LOCK_WAIT_SECONDS = 1.0
"""How long a lock that is held is really waited for at most; the clock of the test moves on by what was asked for."""


def ok(described: Optional[Dict[str, Any]] = None, body: bytes = b"", is_json: bool = False) -> HostReturn:
    """An answer of the platform."""
    return HostReturn(0, FLAG_JSON if is_json else 0, payloads.dumps(described or {}), body)


def refused(code: int, kind: str, message: str) -> HostReturn:
    """What the platform says when it can't do something."""
    return HostReturn(code, 0, payloads.dumps({"error": message, "type": kind}), b"")


class _Value(NamedTuple):
    body: bytes
    is_json: bool
    ends_at: Optional[float]


class Caches:
    """All caches, by their names."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._caches: Dict[str, Dict[str, _Value]] = {}

    def serve(self, asked: Dict[str, Any], body: bytes, is_json: bool) -> HostReturn:
        """Does what a host call asks for."""
        act = getattr(self, "_" + str(asked.get("action")).replace("-", "_"), None)
        if act is None:
            return refused(400, "BadRequest", f"the cache has no action '{asked.get('action')}'")
        with self._lock:
            values = self._live(str(asked.get("cache") or "default"))
            answer: HostReturn = act(values, asked, _Value(body, is_json, self._end(asked)))
            return answer

    def _live(self, cache: str) -> Dict[str, _Value]:
        values = self._caches.setdefault(cache, {})
        now = self._clock()
        for key in [key for key, value in values.items() if value.ends_at is not None and value.ends_at <= now]:
            del values[key]
        return values

    def _end(self, asked: Dict[str, Any]) -> Optional[float]:
        expiry = asked.get("expiry_ms")
        return None if expiry is None else self._clock() + expiry / 1000

    def _found(self, value: Optional[_Value]) -> HostReturn:
        if value is None:
            return ok({"found": False})
        described: Dict[str, Any] = {"found": True, "is_json": value.is_json}
        if value.ends_at is not None:
            described["expires_in_ms"] = round((value.ends_at - self._clock()) * 1000)
        return ok(described, value.body, value.is_json)

    def _get(self, values: Dict[str, _Value], asked: Dict[str, Any], _given: _Value) -> HostReturn:
        return self._found(values.get(asked["key"]))

    def _exists(self, values: Dict[str, _Value], asked: Dict[str, Any], _given: _Value) -> HostReturn:
        return ok({"found": asked["key"] in values})

    def _set(self, values: Dict[str, _Value], asked: Dict[str, Any], given: _Value) -> HostReturn:
        before = values.get(asked["key"])
        if before is None or not asked.get("if_absent"):
            values[asked["key"]] = given
        return self._found(before)

    def _delete(self, values: Dict[str, _Value], asked: Dict[str, Any], _given: _Value) -> HostReturn:
        return self._found(values.pop(asked["key"], None))

    def _expire(self, values: Dict[str, _Value], asked: Dict[str, Any], given: _Value) -> HostReturn:
        before = values.get(asked["key"])
        if before is not None:
            values[asked["key"]] = before._replace(ends_at=given.ends_at)
        return self._found(before)

    def _increment(self, values: Dict[str, _Value], asked: Dict[str, Any], given: _Value) -> HostReturn:
        before = values.get(asked["key"])
        try:
            number = int(before.body) if before is not None else 0
        except ValueError:
            return refused(400, "BadRequest", f"the value of '{asked['key']}' is no whole number")
        number += int(asked.get("amount", 1))
        ends_at = given.ends_at if before is None else before.ends_at
        values[asked["key"]] = _Value(str(number).encode(), True, ends_at)
        return ok({"found": before is not None, "count": number})

    def _keys(self, values: Dict[str, _Value], asked: Dict[str, Any], _given: _Value) -> HostReturn:
        return ok({}, payloads.dumps(_chosen(values, asked)), True)

    def _get_by(self, values: Dict[str, _Value], asked: Dict[str, Any], _given: _Value) -> HostReturn:
        found = {key: _as_json(values[key]) for key in _chosen(values, asked)}
        return ok({"count": len(found)}, payloads.dumps(found), True)

    def _delete_by(self, values: Dict[str, _Value], asked: Dict[str, Any], _given: _Value) -> HostReturn:
        chosen = _chosen(values, asked)
        for key in chosen:
            del values[key]
        return ok({"count": len(chosen)})

    def _clear(self, values: Dict[str, _Value], _asked: Dict[str, Any], _given: _Value) -> HostReturn:
        count = len(values)
        values.clear()
        return ok({"count": count})

    def value(self, key: str, cache: str = "default") -> Any:
        """A value as a service would get it; None if there is none."""
        with self._lock:
            value = self._live(cache).get(key)
        return None if value is None else _as_json(value) if value.is_json else value.body

    def put(self, key: str, value: Any, cache: str = "default", expiry: Optional[float] = None) -> None:
        """Sets a value, as a service would."""
        is_json = not isinstance(value, (bytes, bytearray))
        with self._lock:
            ends_at = None if expiry is None else self._clock() + expiry
            self._live(cache)[key] = _Value(payloads.dumps(value) if is_json else bytes(value), is_json, ends_at)


def _as_json(value: _Value) -> Any:
    return payloads.loads(str(value.body, "utf-8")) if value.is_json else str(value.body, "utf-8", "replace")


def _chosen(values: Dict[str, _Value], asked: Dict[str, Any]) -> List[str]:
    by, text = asked.get("by"), str(asked.get("text") or "")
    choose: Dict[Any, Callable[[str], Any]] = {
        None: lambda key: True,
        "prefix": lambda key: key.startswith(text),
        "suffix": lambda key: key.endswith(text),
        "contains": lambda key: text in key,
        "regex": lambda key: re.search(text, key),
    }
    return sorted(key for key in values if choose[by](key))


class Locks:
    """All locks, by their names."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._held: Dict[str, Tuple[int, float, Any]] = {}
        self._token = 0

    def serve(self, asked: Dict[str, Any], call: Any) -> HostReturn:
        """Does what a host call asks for, on behalf of a service's call."""
        name, ends_at = str(asked.get("name")), self._clock() + asked.get("ttl_ms", 0) / 1000
        with self._changed:
            if asked.get("action") == "acquire":
                return self._acquire(name, asked, call)
            held = self._holder(name)
            is_holder = held is not None and held[0] == asked.get("token")
            if is_holder and asked.get("action") == "renew":
                self._held[name] = (asked["token"], ends_at, call)
            elif is_holder:
                del self._held[name]
                self._changed.notify_all()
            return ok({"acquired": is_holder, "token": asked.get("token")})

    def _holder(self, name: str) -> Optional[Tuple[int, float, Any]]:
        held = self._held.get(name)
        if held is not None and held[1] <= self._clock():
            del self._held[name]
            return None
        return held

    def _acquire(self, name: str, asked: Dict[str, Any], call: Any) -> HostReturn:
        block = asked.get("block_ms", 0) / 1000
        if not self._changed.wait_for(lambda: self._holder(name) is None, min(block, LOCK_WAIT_SECONDS)):
            self._clock.advance(block)
            if self._holder(name) is not None:
                return ok({"acquired": False})
        self._token += 1
        self._held[name] = (self._token, self._clock() + asked.get("ttl_ms", 0) / 1000, call)
        return ok({"acquired": True, "token": self._token})

    def hold(self, name: str, ttl: float = 3600) -> None:
        """Holds a lock as another call would."""
        with self._changed:
            self._token += 1
            self._held[name] = (self._token, self._clock() + ttl, None)

    def let_go(self, name: str) -> None:
        """Ends what `hold` began."""
        with self._changed:
            self._held.pop(name, None)
            self._changed.notify_all()

    def is_held(self, name: str) -> bool:
        """Whether somebody holds a lock."""
        with self._changed:
            return self._holder(name) is not None

    def call_ended(self, call: Any) -> None:
        """Frees the locks of a call."""
        with self._changed:
            for name in [name for name, held in self._held.items() if held[2] is call]:
                del self._held[name]
            self._changed.notify_all()
