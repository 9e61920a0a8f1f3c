"""`self.cache`: caches by name, and the default one by the names that commands for caches commonly have."""

from typing import Any, Callable, List, Optional

from .cache import Cache
from .cache_calls import DEFAULT, CacheCalls
from .host import Steps, run_steps


class Caches(CacheCalls):
    """`self.cache`: caches by name, and the default one by the names that commands for caches commonly have.

    `self.cache.default` and `self.cache.get_cache('builtin', 'rates')` are caches with all their operations.
    `self.cache.set('key', value, ex=60)`, `get`, `delete`, `incr`, `expire`, `ttl`, `exists` and `keys` use the default one.
    """

    def __init__(self, request: Any) -> None:
        super().__init__(request, DEFAULT)

    @property
    def default(self) -> Cache:
        """The cache that is there without a name."""
        return Cache(self._request, DEFAULT)

    def get_cache(self, type: str = "builtin", name: str = DEFAULT) -> Cache:
        """A cache by its name; it comes into being when it is first used. There is one type, `builtin`."""
        if type != "builtin":
            raise ValueError(f"there are no caches of the type '{type}', only builtin ones")
        return Cache(self._request, name)

    def get_builtin_cache(self, name: str = DEFAULT) -> Cache:
        """A cache by its name."""
        return Cache(self._request, name)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key; the default if it has none."""
        return self._get(key, lambda found: found.value if found.found else default)

    def set(
        self, key: str, value: Any, ex: Optional[float] = None, px: Optional[float] = None, nx: bool = False, expiry: Optional[float] = None
    ) -> Any:
        """Sets the value of a key, for `ex` (or `expiry`) seconds or `px` milliseconds, with `nx` only if it has none; True if it was set."""
        expiry = px / 1000 if px else ex if ex is not None else expiry
        return self._set(key, value, expiry, lambda found: None if nx and found.found else True, if_absent=nx)

    def setex(self, key: str, seconds: float, value: Any) -> Any:
        """Sets the value of a key for so many seconds."""
        return self.set(key, value, ex=seconds)

    def setnx(self, key: str, value: Any) -> Any:
        """Sets the value of a key if it has none; whether it did."""
        return self._set(key, value, None, lambda found: not found.found, if_absent=True)

    def delete(self, *keys: str) -> Any:
        """Forgets keys; how many had a value."""
        return run_steps(self._request, self._counted([str(key) for key in keys], lambda key: self._delete(key, lambda found: found.found)))

    def exists(self, *keys: str) -> Any:
        """How many of these keys have a value."""
        return run_steps(self._request, self._counted([str(key) for key in keys], self._exists))

    @staticmethod
    def _counted(keys: List[str], act: Callable[[str], Any]) -> Steps:
        count = 0
        for key in keys:
            count += bool((yield act(key)))
        return count

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(f"the cache has no '{name}'; docs/cache-and-locks.md says what it has in common with Redis")

    def incr(self, key: str, amount: int = 1) -> Any:
        """Adds to a whole number, 0 if the key has none, and gives the sum."""
        return self._increment(key, amount)

    incrby = incr

    def decr(self, key: str, amount: int = 1) -> Any:
        """Subtracts from a whole number, 0 if the key has none, and gives what is left."""
        return self._increment(key, -amount)

    decrby = decr

    def expire(self, key: str, time: float) -> Any:
        """Lets a value end in so many seconds from now; whether there is one."""
        return self._expire(key, time)

    def ttl(self, key: str) -> Any:
        """How many seconds a value has left; -1 if it does not end by itself, -2 if there is none."""
        return self._get(key, lambda found: -2 if not found.found else -1 if found.expires_in is None else round(found.expires_in))

    def keys(self, pattern: str = "*") -> Any:
        """The keys that a pattern with `*` and `?` fits, sorted."""
        if pattern in ("", "*"):
            return self._keys()
        return self._keys("regex", _regex_of(pattern))


def _regex_of(pattern: str) -> str:
    """The regular expression of a pattern with * and ?."""
    import re

    return "^(?s:" + "".join(".*" if each == "*" else "." if each == "?" else re.escape(each) for each in pattern) + ")$"
