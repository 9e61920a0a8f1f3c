"""Locks of the whole cluster."""

import logging
from typing import Any, Optional

from .errors import HostCallError
from .host import HostReturn, call, check, milliseconds

TTL_SECONDS = 20.0
"""How long a lock is held at most if its holder does not say."""
BLOCK_SECONDS = 10.0
"""How long a lock is waited for if its caller does not say."""


def _logger() -> logging.Logger:
    return logging.getLogger("tenon.locks")


class LockTimeout(HostCallError):
    """Somebody else held the lock for as long as it was waited for."""

    def __init__(self, name: str, block: float) -> None:
        super().__init__(f"the lock '{name}' was not free within {block:g} seconds", 503, "LockTimeout")
        self.name = name


class Lock:
    """A lock of the whole cluster: `with self.lock('name'):`, in an `async def` service `async with self.lock('name'):`.

    It ends with the block, with the call that holds it, with the worker or server of that call, and after `ttl` seconds
    in any case. `token` is a number that grows with each holder: what is locked can refuse a holder that is late.
    """

    def __init__(self, request: Any, name: str, ttl: float, block: float) -> None:
        self._request = request
        self.name = name
        self.ttl = ttl
        self.block = block
        self.token: Optional[int] = None

    @property
    def acquired(self) -> bool:
        """Whether this object took the lock and has not given it back. It may have ended meanwhile: `renew` tells."""
        return self.token is not None

    def acquire(self) -> Any:
        """Waits for the lock; False if it was not free within `block` seconds."""

        def convert(answer: HostReturn) -> bool:
            check(answer)
            described = answer.described()
            if not described.get("acquired"):
                return False
            self.token = int(described.get("token") or 0)
            return True

        return self._ask("acquire", convert, block_ms=milliseconds(self.block, "block"))

    def renew(self, ttl: Optional[float] = None) -> Any:
        """Holds the lock for another `ttl` seconds from now on; False if it was lost meanwhile."""

        def convert(answer: HostReturn) -> bool:
            check(answer)
            if answer.described().get("acquired"):
                return True
            self.token = None
            return False

        if ttl is not None:
            self.ttl = ttl
        return self._ask("renew", convert, token=self.token or 0)

    def release(self) -> Any:
        """Gives the lock back; False if it was lost before."""
        token, self.token = self.token, None

        def convert(answer: HostReturn) -> bool:
            check(answer)
            # A server that says nothing of it has released it.
            was_held = bool(answer.described().get("acquired", True))
            if not was_held:
                _logger().warning("the lock '%s' was held for longer than its %g seconds", self.name, self.ttl)
            return was_held

        return self._ask("release", convert, token=token or 0)

    def _ask(self, action: str, convert: Any, **more: Any) -> Any:
        tail = {"op": "lock", "action": action, "name": self.name, "ttl_ms": milliseconds(self.ttl, "ttl"), **more}
        return call(self._request, tail, convert)

    def __enter__(self) -> "Lock":
        if self._request._task is not None:
            raise TypeError("in an async def service a lock is taken with 'async with self.lock(…)'")
        if not self.acquire():
            raise LockTimeout(self.name, self.block)
        return self

    def __exit__(self, *exception: Any) -> None:
        if self.acquired:
            try:
                self.release()
            except HostCallError as error:
                self._leave(error)

    async def __aenter__(self) -> "Lock":
        if not await self.acquire():
            raise LockTimeout(self.name, self.block)
        return self

    async def __aexit__(self, *exception: Any) -> None:
        if self.acquired:
            try:
                await self.release()
            except HostCallError as error:
                self._leave(error)

    def _leave(self, error: HostCallError) -> None:
        """The block is over, and how it went counts: the lock ends with the call, or when its time is over."""
        _logger().warning("the lock '%s' could not be given back: %s", self.name, error)


class Locks:
    """`self.lock`: called with a name, it gives a lock."""

    def __init__(self, service: Any) -> None:
        self._service = service

    def __call__(
        self,
        name: Optional[str] = None,
        ttl: float = TTL_SECONDS,
        block: float = BLOCK_SECONDS,
        expires: Optional[float] = None,
        timeout: Optional[float] = None,
    ) -> Lock:
        """A lock by its name, or that of the service; held for `ttl` seconds at most, waited for `block` seconds.

        Older service files say `expires` and `timeout`.
        """
        return Lock(self._service.request, name or self._service.name, ttl if expires is None else expires, block if timeout is None else timeout)
