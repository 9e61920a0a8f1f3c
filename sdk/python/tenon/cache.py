"""The cache that all servers of a cluster share.

It is best effort: it is emptied when the process that holds it starts anew, and when it is full the values that were not used
for longest go first. What has to last belongs into a database.
"""

from typing import Any, Callable, Dict, Iterable, List, Optional

from .cache_calls import CacheCalls, CacheEntry, Found, count_of, found_of, json_of
from .host import Steps, check, milliseconds, run_steps

__all__ = ["Cache", "CacheEntry"]

Choose = Callable[[str], bool]


class Cache(CacheCalls):
    """A cache by its name: `self.cache.default`, or `self.cache.get_cache('builtin', 'rates')`.

    Values are anything that JSON has, and bytes. `expiry` is in seconds; without one a value stays until there is no room for it.
    In an `async def` service everything is awaited, `await cache['key']` too.
    """

    def get(self, key: str, default: Any = None, details: bool = False) -> Any:
        """The value of a key, or the default; with `details` a CacheEntry."""

        def convert(found: Found) -> Any:
            if not found.found:
                return default
            return CacheEntry(str(key), found.value, found.expires_in) if details else found.value

        return self._get(key, convert)

    def set(self, key: str, value: Any, expiry: Optional[float] = None, details: bool = False) -> Any:
        """Sets the value of a key, and gives the one before, None if there was none; with `details` the new CacheEntry."""
        entry = CacheEntry(str(key), value, float(expiry) if expiry else None)
        return self._set(key, value, expiry, lambda found: entry if details else found.value)

    def delete(self, key: str, raise_if_missing: bool = False) -> Any:
        """Forgets a key, and gives the value that it had; None, or a KeyError if asked for, if it had none."""

        def convert(found: Found) -> Any:
            if raise_if_missing and not found.found:
                raise KeyError(key)
            return found.value

        return self._delete(key, convert)

    def expire(self, key: str, expiry: Optional[float] = None) -> Any:
        """Lets a value end in so many seconds from now, or never; whether there is one."""
        return self._expire(key, expiry)

    def contains_key(self, key: str) -> Any:
        """Whether a key has a value."""
        return self._exists(key)

    exists = has_key = contains_key

    def incr(self, key: str, amount: int = 1, expiry: Optional[float] = None) -> Any:
        """Adds to a whole number, 0 if the key has none, and gives the sum; `expiry` is that of a number that was not there."""
        return self._increment(key, amount, expiry)

    def keys(self) -> Any:
        """All keys, sorted."""
        return self._keys()

    def values(self) -> Any:
        """All values, in the order of their keys."""
        return run_steps(self._request, self._items(lambda items: list(items.values())))

    def items(self) -> Any:
        """All keys with their values."""
        return run_steps(self._request, self._items(lambda items: list(items.items())))

    def _items(self, convert: Any) -> Steps:
        return convert((yield self.get_by_regex("")))

    def clear(self) -> Any:
        """Forgets everything in this cache."""
        return self._ask("clear", lambda answer: check(answer))

    def __getitem__(self, key: str) -> Any:
        return self.get(key)

    def __setitem__(self, key: str, value: Any) -> None:
        self._only_without_await("[…] = …", "set")
        self.set(key, value)

    def __delitem__(self, key: str) -> None:
        self._only_without_await("del …[…]", "delete")
        self.delete(key)

    def __contains__(self, key: object) -> bool:
        self._only_without_await("in", "contains_key")
        return bool(self._exists(key))

    def __len__(self) -> int:
        self._only_without_await("len", "keys")
        return len(self._keys())

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Any:
        self._only_without_await("iteration", "keys")
        return iter(self._keys())

    def _only_without_await(self, what: str, instead: str) -> None:
        if self._request._task is not None:
            raise TypeError(f"'{what}' can't be awaited: in an async def service use 'await cache.{instead}(…)'")

    # Many keys at once. Each gives the number of keys, or with `return_found` the values that they had, by key.

    def get_by_prefix(self, prefix: str, details: bool = False, limit: int = 0) -> Any:
        """The values of all keys that begin with a text, by key."""
        return self._get_by("prefix", prefix, details, limit)

    def get_by_suffix(self, suffix: str, details: bool = False, limit: int = 0) -> Any:
        """The values of all keys that end with a text, by key."""
        return self._get_by("suffix", suffix, details, limit)

    def get_by_regex(self, regex: str, details: bool = False, limit: int = 0) -> Any:
        """The values of all keys that a regular expression is found in, by key."""
        return self._get_by("regex", regex, details, limit)

    def get_contains(self, text: str, details: bool = False, limit: int = 0) -> Any:
        """The values of all keys with a text in them, by key."""
        return self._get_by("contains", text, details, limit)

    def get_not_contains(self, text: str, details: bool = False, limit: int = 0) -> Any:
        """The values of all keys without a text in them, by key."""
        return self._get_chosen(lambda key: text not in key, details, limit)

    def get_contains_all(self, texts: Iterable[str], details: bool = False, limit: int = 0) -> Any:
        """The values of all keys with each of some texts in them, by key."""
        return self._get_chosen(_with_all(texts), details, limit)

    def get_contains_any(self, texts: Iterable[str], details: bool = False, limit: int = 0) -> Any:
        """The values of all keys with one of some texts in them, by key."""
        return self._get_chosen(_with_any(texts), details, limit)

    def set_by_prefix(self, prefix: str, value: Any, expiry: Optional[float] = None, return_found: bool = False, limit: int = 0) -> Any:
        """Sets the value of all keys that begin with a text."""
        return self._each("prefix", prefix, None, limit, return_found, self._setting(value, expiry))

    def set_by_suffix(self, suffix: str, value: Any, expiry: Optional[float] = None, return_found: bool = False, limit: int = 0) -> Any:
        """Sets the value of all keys that end with a text."""
        return self._each("suffix", suffix, None, limit, return_found, self._setting(value, expiry))

    def set_by_regex(self, regex: str, value: Any, expiry: Optional[float] = None, return_found: bool = False, limit: int = 0) -> Any:
        """Sets the value of all keys that a regular expression is found in."""
        return self._each("regex", regex, None, limit, return_found, self._setting(value, expiry))

    def set_contains(self, text: str, value: Any, expiry: Optional[float] = None, return_found: bool = False, limit: int = 0) -> Any:
        """Sets the value of all keys with a text in them."""
        return self._each("contains", text, None, limit, return_found, self._setting(value, expiry))

    def set_not_contains(self, text: str, value: Any, expiry: Optional[float] = None, return_found: bool = False, limit: int = 0) -> Any:
        """Sets the value of all keys without a text in them."""
        return self._each("", "", lambda key: text not in key, limit, return_found, self._setting(value, expiry))

    def set_contains_all(self, texts: Iterable[str], value: Any, expiry: Optional[float] = None, return_found: bool = False, limit: int = 0) -> Any:
        """Sets the value of all keys with each of some texts in them."""
        return self._each("", "", _with_all(texts), limit, return_found, self._setting(value, expiry))

    def set_contains_any(self, texts: Iterable[str], value: Any, expiry: Optional[float] = None, return_found: bool = False, limit: int = 0) -> Any:
        """Sets the value of all keys with one of some texts in them."""
        return self._each("", "", _with_any(texts), limit, return_found, self._setting(value, expiry))

    def delete_by_prefix(self, prefix: str, return_found: bool = False, limit: int = 0) -> Any:
        """Forgets all keys that begin with a text."""
        return self._delete_by("prefix", prefix, return_found, limit)

    def delete_by_suffix(self, suffix: str, return_found: bool = False, limit: int = 0) -> Any:
        """Forgets all keys that end with a text."""
        return self._delete_by("suffix", suffix, return_found, limit)

    def delete_by_regex(self, regex: str, return_found: bool = False, limit: int = 0) -> Any:
        """Forgets all keys that a regular expression is found in."""
        return self._delete_by("regex", regex, return_found, limit)

    def delete_contains(self, text: str, return_found: bool = False, limit: int = 0) -> Any:
        """Forgets all keys with a text in them."""
        return self._delete_by("contains", text, return_found, limit)

    def delete_not_contains(self, text: str, return_found: bool = False, limit: int = 0) -> Any:
        """Forgets all keys without a text in them."""
        return self._each("", "", lambda key: text not in key, limit, return_found, self._deleting)

    def delete_contains_all(self, texts: Iterable[str], return_found: bool = False, limit: int = 0) -> Any:
        """Forgets all keys with each of some texts in them."""
        return self._each("", "", _with_all(texts), limit, return_found, self._deleting)

    def delete_contains_any(self, texts: Iterable[str], return_found: bool = False, limit: int = 0) -> Any:
        """Forgets all keys with one of some texts in them."""
        return self._each("", "", _with_any(texts), limit, return_found, self._deleting)

    def expire_by_prefix(self, prefix: str, expiry: Optional[float] = None, limit: int = 0) -> Any:
        """Lets all keys end in so many seconds that begin with a text."""
        return self._each("prefix", prefix, None, limit, False, self._expiring(expiry))

    def expire_by_suffix(self, suffix: str, expiry: Optional[float] = None, limit: int = 0) -> Any:
        """Lets all keys end in so many seconds that end with a text."""
        return self._each("suffix", suffix, None, limit, False, self._expiring(expiry))

    def expire_by_regex(self, regex: str, expiry: Optional[float] = None, limit: int = 0) -> Any:
        """Lets all keys end in so many seconds that a regular expression is found in."""
        return self._each("regex", regex, None, limit, False, self._expiring(expiry))

    def expire_contains(self, text: str, expiry: Optional[float] = None, limit: int = 0) -> Any:
        """Lets all keys end in so many seconds with a text in them."""
        return self._each("contains", text, None, limit, False, self._expiring(expiry))

    def _get_by(self, by: str, text: str, details: bool, limit: int) -> Any:
        if details or limit:
            return run_steps(self._request, self._steps(by, text, None, limit, self._getting(details), _by_key))
        return self._ask("get-by", lambda answer: json_of(answer) or {}, by=by, text=text)

    def _get_chosen(self, choose: Choose, details: bool, limit: int) -> Any:
        return run_steps(self._request, self._steps("", "", choose, limit, self._getting(details), _by_key))

    def _delete_by(self, by: str, text: str, return_found: bool, limit: int) -> Any:
        if return_found or limit:
            return self._each(by, text, None, limit, return_found, self._deleting)
        return self._ask("delete-by", count_of, by=by, text=text)

    def _each(self, by: str, text: str, choose: Optional[Choose], limit: int, return_found: bool, act: Callable[[str], Any]) -> Any:
        def convert(found: Dict[str, Found]) -> Any:
            return _by_key(found) if return_found else len(found)

        return run_steps(self._request, self._steps(by, text, choose, limit, act, convert))

    def _steps(self, by: str, text: str, choose: Optional[Choose], limit: int, act: Callable[[str], Any], convert: Any) -> Steps:
        """Does something with each key that is chosen."""
        keys: List[str] = yield self._keys(by, text)
        if choose is not None:
            keys = [key for key in keys if choose(key)]
        found: Dict[str, Found] = {}
        for key in keys[:limit] if limit else keys:
            one: Found = yield act(key)
            # It may have ended between the two calls.
            if one.found:
                found[key] = one
        return convert(found)

    def _getting(self, details: bool) -> Callable[[str], Any]:
        def get(key: str) -> Any:
            return self._get(key, lambda found: found._replace(value=CacheEntry(key, found.value, found.expires_in)) if details else found)

        return get

    def _setting(self, value: Any, expiry: Optional[float]) -> Callable[[str], Any]:
        return lambda key: self._set(key, value, expiry, _same)

    def _expiring(self, expiry: Optional[float]) -> Callable[[str], Any]:
        more: Dict[str, Any] = {"expiry_ms": milliseconds(expiry, "expiry")} if expiry else {}
        return lambda key: self._ask("expire", found_of, key=key, **more)

    def _deleting(self, key: str) -> Any:
        return self._delete(key, _same)


def _same(found: Found) -> Found:
    return found


def _by_key(found: Dict[str, Found]) -> Dict[str, Any]:
    return {key: one.value for key, one in found.items()}


def _with_all(texts: Iterable[str]) -> Choose:
    wanted = list(texts)
    return lambda key: all(text in key for text in wanted)


def _with_any(texts: Iterable[str]) -> Choose:
    wanted = list(texts)
    return lambda key: any(text in key for text in wanted)
