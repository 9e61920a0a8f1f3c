"""The worker's socket: sends frames from any thread, receives them in the one that leads. Knows nothing of what they mean."""

import os
import socket
import sys
import threading
from time import monotonic
from typing import Any, List, Tuple

from . import protocol
from .protocol import PREFIX, PREFIX_SIZE_BYTES

BUFFER_BYTES = 64 << 10
COPY_LIMIT_BYTES = 32 << 10
"""A larger body is sent by itself, rather than copied behind its header."""
QUEUE_LIMIT_BYTES = 4 << 10
"""A larger body does not wait for others."""
QUEUE_SECONDS = 0.0005
"""So long the first frame of a queue waits for others."""
EXIT_PROTOCOL = 76

_FIXED = protocol.FIXED_HEADER_SIZE_BYTES

Received = Tuple[int, int, int, int, int, bytes, bytes]
"""Kind, flags, code, call, id, tail, body."""


class Connection:
    """A socket with frames on it. When it is closed, the process ends, in whatever thread that is seen: there is nobody to work for."""

    def __init__(self, sock: socket.socket, body_limit_bytes: int) -> None:
        self._sock = sock
        self._body_limit = body_limit_bytes
        self._send_lock = threading.Lock()
        self._queued: List[bytes] = []
        self._queued_since = 0.0
        self._queue_owner: Any = None
        # What was received and not read yet: bytes start to end of the buffer.
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0

    def send(self, kind: int, flags: int = 0, code: int = 0, call: int = 0, id: int = 0, tail: bytes = b"", body: bytes = b"") -> None:
        """Sends a frame, behind what is queued."""
        size = len(body)
        head = PREFIX.pack(_FIXED + len(tail), size, kind, flags, code, call, id) + tail
        with self._send_lock:
            if self._queued:
                self._send_queued()
            if size < COPY_LIMIT_BYTES:
                self._send_all(head + body)
            else:
                self._send_all(head)
                self._send_all(body)

    def queue(self, owner: Any, kind: int, flags: int, code: int, call: int, id: int, tail: bytes, body: bytes) -> None:
        """Sends a frame together with others of the same owner: before the next one is waited for, or an owner's handler begins."""
        if len(body) > QUEUE_LIMIT_BYTES:
            self.send(kind, flags, code, call, id, tail, body)
            return
        frame = PREFIX.pack(_FIXED + len(tail), len(body), kind, flags, code, call, id) + tail + body
        now = monotonic()
        with self._send_lock:
            queued = self._queued
            if not queued:
                self._queued_since = now
                self._queue_owner = owner
            queued.append(frame)
            if now - self._queued_since > QUEUE_SECONDS:
                self._send_queued()

    def flush_others(self, owner: Any) -> None:
        """Sends what is queued by others: they must not suffer from what this one does."""
        if self._queued and self._queue_owner is not owner:
            self.flush()

    def flush(self) -> None:
        """Sends what is queued."""
        if self._queued:
            with self._send_lock:
                self._send_queued()

    def _send_queued(self) -> None:
        frames = b"".join(self._queued)
        self._queued.clear()
        self._send_all(frames)

    def _send_all(self, data: bytes) -> None:
        try:
            self._sock.sendall(data)
        except OSError:
            os._exit(0)

    def has_frame(self) -> bool:
        """Whether a whole frame is there already."""
        available = self._end - self._start
        if available < PREFIX_SIZE_BYTES:
            return False
        header_size, body_size = PREFIX.unpack_from(self._buffer, self._start)[:2]
        return bool(available >= 8 + header_size + body_size)

    def receive(self) -> Received:
        """The next frame; waits for it."""
        if self._end - self._start < PREFIX_SIZE_BYTES:
            self._fill(PREFIX_SIZE_BYTES)
        header_size, body_size, kind, flags, code, call, id = PREFIX.unpack_from(self._buffer, self._start)
        total = 8 + header_size + body_size
        if self._end - self._start < total:
            self._check_sizes(header_size, body_size)
            self._fill(total)
        elif header_size < _FIXED:
            self._check_sizes(header_size, body_size)
        start = self._start
        body_at = start + 8 + header_size
        end = start + total
        view = self._view
        tail = view[start + PREFIX_SIZE_BYTES : body_at].tobytes() if header_size > _FIXED else b""
        body = view[body_at:end].tobytes() if body_size else b""
        self._start = end
        if len(self._buffer) > BUFFER_BYTES and end == self._end:
            # The memory of a large frame is not kept.
            self._buffer = bytearray(BUFFER_BYTES)
            self._view = memoryview(self._buffer)
            self._start = self._end = 0
        return kind, flags, code, call, id, tail, body

    def _fill(self, needed: int) -> None:
        """Receives until `needed` bytes are there from the start on."""
        if self._start == self._end:
            self._start = self._end = 0
        if self._start + needed > len(self._buffer):
            size = max(needed, BUFFER_BYTES)
            rest = bytes(self._view[self._start : self._end])
            fresh = self._buffer if size == len(self._buffer) else bytearray(size)
            fresh[: len(rest)] = rest
            self._buffer, self._view = fresh, memoryview(fresh)
            self._start, self._end = 0, len(rest)
        self.flush()
        while self._end - self._start < needed:
            try:
                size = self._sock.recv_into(self._view[self._end :])
            except OSError:
                size = 0
            if not size:
                os._exit(0)
            self._end += size

    def _check_sizes(self, header_size: int, body_size: int) -> None:
        try:
            protocol.check_sizes(header_size, body_size, max(self._body_limit, protocol.BODY_LIMIT_BYTES))
        except protocol.ProtocolError as error:
            if sys.__stderr__ is not None:
                sys.__stderr__.write(f"tenon worker: the server sent {error}\n")
            os._exit(EXIT_PROTOCOL)
