"""Bodies in pieces: the input of a service that reads it piece by piece, and answers that are sent that way.

What the other side has not read yet stays with its sender, apart from the window that the protocol allows.
"""

import logging
import threading
from collections import deque
from typing import Any, AsyncIterator, Callable, Deque, Iterator, NamedTuple, Optional

from . import protocol
from .errors import BadRequest, Cancelled
from .protocol import CHUNK_LIMIT_BYTES, STREAM_WINDOW_BYTES, chunk_cost

GRANT_BYTES = STREAM_WINDOW_BYTES // 4
"""So much is read before the server is told."""

ERROR_LIMIT_BYTES = 1024
"""So much is said of why the rest of an answer does not come."""

Expect = Callable[[Any], bool]
"""Has a waiter told of something; False if it is there already."""

_NOTHING: Any = object()


class BodyTooLarge(BadRequest):
    """The input is larger than its channel allows."""

    status = 413


class InputStream:
    """What a service was called with, piece by piece: to be iterated over, or to be read from.

    In an `async def` service it is `async for piece in stream` and `await stream.read()`.
    """

    def __init__(self, runtime: Any, request: Any, start: bytes, is_whole: bool) -> None:
        self._runtime = runtime
        self._request = request
        self._pieces: Deque[bytes] = deque([start] if start else ())
        # The beginning comes with the request and takes no credit.
        self._is_free = bool(start)
        self._has_ended = is_whole
        self._error: Optional[Exception] = None
        self._waiter: Any = None
        self._read_bytes = 0
        self._rest = b""

    # What the thread that reads the socket calls.

    def deliver(self, flags: int, status: int, body: bytes) -> None:
        """Takes a chunk."""
        if flags & protocol.FLAG_ERROR:
            message = str(body, "utf-8", "replace")
            self._error = (BodyTooLarge if status == 413 else BadRequest)(self._request.cid, message)
        elif body:
            self._pieces.append(body)
        if flags & (protocol.FLAG_END | protocol.FLAG_ERROR):
            self._has_ended = True
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.deliver(True)

    # What the service calls.

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        piece = self._next()
        if piece is None:
            raise StopIteration
        return piece

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._next_async()
        if piece is None:
            raise StopAsyncIteration
        return piece

    def read(self, size: int = -1) -> Any:
        """Up to so many bytes, fewer at the end only; all there are without a size. To be awaited in an `async def` service."""
        if self._request._task is not None:
            return self._read_async(size)
        parts = _Parts(size)
        while parts.is_wanting:
            piece = self._next()
            if piece is None:
                break
            self._rest = parts.add(piece)
        return parts.joined()

    async def _read_async(self, size: int) -> bytes:
        parts = _Parts(size)
        while parts.is_wanting:
            piece = await self._next_async()
            if piece is None:
                break
            self._rest = parts.add(piece)
        return parts.joined()

    def _next(self) -> Optional[bytes]:
        while True:
            piece = self._take()
            if piece is not _NOTHING:
                return piece  # type: ignore[no-any-return]
            self._runtime.wait(self._request, self._expect)

    async def _next_async(self) -> Optional[bytes]:
        while True:
            piece = self._take()
            if piece is not _NOTHING:
                return piece  # type: ignore[no-any-return]
            await self._runtime.wait_async(self._expect)

    def _take(self) -> Any:
        """A piece; None at the end; _NOTHING if there is none yet."""
        if self._rest:
            rest, self._rest = self._rest, b""
            return rest
        # In this order: what comes before the end is there when the end is.
        has_ended = self._has_ended
        if not self._pieces:
            if self._error is not None:
                raise self._error
            return None if has_ended else _NOTHING
        piece = self._pieces.popleft()
        if self._is_free:
            self._is_free = False
            return piece
        self._read_bytes += chunk_cost(len(piece))
        if self._read_bytes >= GRANT_BYTES and not has_ended:
            read, self._read_bytes = self._read_bytes, 0
            self._runtime.send(protocol.CREDIT, 0, 0, read, self._request._id)
        return piece

    def _expect(self, waiter: Any) -> bool:
        """Has the waiter told of the next chunk; False if there is one."""
        self._waiter = waiter
        return not self._pieces and not self._has_ended


class _Parts:
    """Pieces until they are enough."""

    def __init__(self, size: int) -> None:
        self._wanted = size
        self._parts: Deque[bytes] = deque()

    @property
    def is_wanting(self) -> bool:
        return self._wanted != 0

    def add(self, piece: bytes) -> bytes:
        """Adds what is wanted of a piece, and gives what is not."""
        if self._wanted < 0:
            self._parts.append(piece)
            return b""
        part = piece[: self._wanted]
        self._parts.append(part)
        self._wanted -= len(part)
        return piece[len(part) :]

    def joined(self) -> bytes:
        return b"".join(self._parts)


class Head(NamedTuple):
    """The frame before the first piece of an answer."""

    code: int
    flags: int
    tail: bytes


class OutputStream:
    """An answer on its way to the server. The frame before its pieces is sent with the first of them."""

    def __init__(self, send: Callable[..., None], request: Any, head: Head) -> None:
        self._send = send
        self._request = request
        self._head = head
        self.has_begun = False
        self._lock = threading.Lock()
        self._credit = STREAM_WINDOW_BYTES
        self._wanted = 0
        self._waiter: Any = None

    def grant(self, size: int) -> None:
        """The server has read so much more."""
        with self._lock:
            self._credit += size
            if self._credit < self._wanted:
                return
            waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.deliver(True)

    def try_send(self, part: memoryview) -> bool:
        """Sends a piece if there is credit for it."""
        cost = chunk_cost(len(part))
        with self._lock:
            if self._credit < cost:
                self._wanted = cost
                return False
            self._credit -= cost
        self._begin()
        self._send(protocol.CHUNK, 0, 0, 0, self._request._id, b"", bytes(part))
        return True

    def expect(self, waiter: Any) -> bool:
        """Has the waiter told of enough credit; False if there is enough."""
        with self._lock:
            if self._credit >= self._wanted:
                return False
            self._waiter = waiter
            return True

    def _begin(self) -> None:
        if not self.has_begun:
            self.has_begun = True
            self._request._output = self
            self._send(protocol.REPLY, self._head.flags, self._head.code, 0, self._request._id, self._head.tail)

    def end(self, failure: Optional[BaseException]) -> None:
        """Says that nothing follows, or why the rest does not."""
        self._begin()
        if failure is None:
            self._send(protocol.CHUNK, protocol.FLAG_END, 0, 0, self._request._id)
            return
        if isinstance(failure, Cancelled):
            why = "nobody waits for it"
        else:
            why = f"{type(failure).__name__}: {failure}"
            logging.getLogger(self._request._entry.name).error("the answer was cut off: %s", why, exc_info=failure)
        body = why.encode("utf-8", "backslashreplace")[:ERROR_LIMIT_BYTES]
        self._send(protocol.CHUNK, protocol.FLAG_ERROR, 0, 0, self._request._id, b"", body)


def is_stream(value: Any) -> bool:
    """Whether an answer is to be sent piece by piece: an iterator, such as a generator, or an open file."""
    kind = type(value)
    return hasattr(kind, "__next__") or hasattr(kind, "__anext__") or _is_file(value)


def _is_file(value: Any) -> bool:
    kind = type(value)
    return hasattr(kind, "read") and hasattr(kind, "close")


def pieces_of(value: Any) -> Iterator[Any]:
    """The pieces of an answer."""
    if not _is_file(value):
        yield from value
        return
    while True:
        piece = value.read(CHUNK_LIMIT_BYTES)
        if not piece:
            return
        yield piece


async def async_pieces_of(value: Any) -> AsyncIterator[Any]:
    """The pieces of an answer, some of which may have to be awaited."""
    if hasattr(value, "__anext__"):
        async for piece in value:
            yield piece
    else:
        for piece in pieces_of(value):
            yield piece


def parts_of(piece: Any) -> Iterator[memoryview]:
    """A piece, in parts that fit into a frame."""
    if isinstance(piece, str):
        piece = piece.encode()
    elif not isinstance(piece, (bytes, bytearray, memoryview)):
        raise TypeError(f"an answer is sent in pieces of bytes or str, not of {type(piece).__name__}")
    view = memoryview(piece).cast("B")
    for start in range(0, len(view), CHUNK_LIMIT_BYTES):
        yield view[start : start + CHUNK_LIMIT_BYTES]


def close(value: Any) -> Optional[BaseException]:
    """Ends a generator, closes a file; gives what that raised."""
    try:
        end = getattr(value, "close", None)
        if end is not None:
            end()
    except BaseException as error:
        return error
    return None


async def close_async(value: Any) -> Optional[BaseException]:
    """The same for what may have to be awaited."""
    try:
        end = getattr(value, "aclose", None)
        if end is not None:
            await end()
            return None
    except BaseException as error:
        return error
    return close(value)
