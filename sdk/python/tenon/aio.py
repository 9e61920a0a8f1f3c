"""Runs `async def` services on one asyncio loop, in a thread of its own. Imported only where there is such a service."""

import asyncio
import threading
from collections import deque
from typing import Any, Awaitable, Callable, Deque, Optional, Tuple

from . import protocol
from .context import Request
from .current import CURRENT
from .entry import Reply
from .errors import Cancelled
from .host import Convert, HostReturn
from .protocol import FLAG_STREAM
from .replies import error_reply, refusal
from .streams import Expect, Head, OutputStream, async_pieces_of, close_async, parts_of


class AsyncWaiter:
    """What a task waits for, until it is there."""

    __slots__ = ("_future", "_loop")

    request = None
    """No thread waits for it."""

    def __init__(self, loop: "Loop", future: "asyncio.Future[Any]") -> None:
        self._loop = loop
        self._future = future

    def deliver(self, answer: Any) -> None:
        self._loop.post(self._set, answer)

    def _set(self, answer: Any) -> None:
        if not self._future.done():
            self._future.set_result(answer)


class Loop:
    """The asyncio loop and what other threads want of it."""

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime
        self._loop = asyncio.new_event_loop()
        self._posted: Deque[Tuple[Callable[..., None], Tuple[Any, ...]]] = deque()
        self._is_woken = False
        threading.Thread(target=self._run, name="tenon-asyncio", daemon=True).start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def post(self, function: Callable[..., None], *args: Any) -> None:
        """Calls a function in the loop's thread; many posts wake it once."""
        self._posted.append((function, args))
        if not self._is_woken:
            self._is_woken = True
            self._loop.call_soon_threadsafe(self._run_posted)

    def _run_posted(self) -> None:
        self._is_woken = False
        posted = self._posted
        while posted:
            function, args = posted.popleft()
            function(*args)

    def start(self, request: Request) -> None:
        """Runs a request's service as a task."""
        self.post(self._start, request)

    def _start(self, request: Request) -> None:
        request._task = self._loop.create_task(self._execute(request))

    def cancel(self, request: Request) -> None:
        """Cancels a request's task."""
        self.post(self._cancel, request)

    @staticmethod
    def _cancel(request: Request) -> None:
        # A task that is cancelled before its first step would never run, and so never reply; it sees by itself that it is cancelled.
        if request._has_begun:
            request._task.cancel()

    async def _execute(self, request: Request) -> None:
        CURRENT.set(request)
        request._has_begun = True
        entry = request._entry
        try:
            reply = refusal(request)
            if reply is None:
                instance, handler = entry.begin(request)
                returned = await self._result(handler(instance))
                reply = entry.finish(instance, returned)
        except asyncio.CancelledError as error:
            reply = error_reply(request, Cancelled() if request.cancelled else error)
        except BaseException as error:
            reply = error_reply(request, error)
        if reply[1] & FLAG_STREAM:
            await self._reply_in_pieces(request, reply)
        else:
            self._runtime.reply(request, reply)

    async def _reply_in_pieces(self, request: Request, reply: Reply) -> None:
        """Sends an answer piece by piece. Pieces that are not awaited hold up the other tasks while they are made."""
        code, flags, tail, value = reply
        output = OutputStream(self._runtime.send, request, Head(code, flags, tail))
        failure: Optional[BaseException] = None
        try:
            async for piece in async_pieces_of(value):
                for part in parts_of(piece):
                    if request.cancelled:
                        raise Cancelled()
                    while not output.try_send(part):
                        await self.wait(output.expect)
        except asyncio.CancelledError as error:
            failure = Cancelled() if request.cancelled else error
        except BaseException as error:
            failure = error
        failure = await close_async(value) or failure
        self._runtime.end_in_pieces(request, output, failure)

    async def wait(self, expect: Expect) -> None:
        """Waits until a waiter is delivered to, unless what is expected is there already."""
        future: asyncio.Future[Any] = self._loop.create_future()
        if expect(AsyncWaiter(self, future)):
            await future

    @staticmethod
    async def _result(value: Any) -> Any:
        return await value if hasattr(value, "__await__") else value

    def call(self, request: Request, call: int, flags: int, tail: bytes, body: bytes, convert: Convert) -> Awaitable[Any]:
        """A host call of a task."""

        async def ask() -> Any:
            future: asyncio.Future[HostReturn] = self._loop.create_future()
            waiters = self._runtime._waiters
            waiters[call] = AsyncWaiter(self, future)
            try:
                self._runtime.send(protocol.HOST_CALL, flags, 0, call, request._id, tail, body)
                answer = await future
            finally:
                waiters.pop(call, None)
            return convert(answer)

        return ask()
