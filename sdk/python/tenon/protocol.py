"""Frames between a server and its workers: how they are written and read. Does no I/O.

A frame is `u32 header length, u32 body length, header, body`, little endian. The header is 16 fixed bytes
(kind u8, flags u8, code u16, call u32, id u64) and an optional tail, which is parsed only when it is needed.
"""

from struct import Struct
from typing import NamedTuple, Optional, Tuple, Union

VERSION = 1

REQUEST = 0
REPLY = 1
HOST_CALL = 2
HOST_RETURN = 3
CANCEL = 5
DRAIN = 6
HELLO = 7
PING = 8
LOG = 9
CONFIG = 10
METRIC = 11
CHUNK = 12
CREDIT = 13

FLAG_JSON = 1
"""The body is JSON."""
FLAG_ERROR = 2
"""An exception escaped from the service; the body describes it. Of a chunk: the body that is streamed was cut off."""
FLAG_END = 4
"""The last chunk of a body."""
FLAG_STREAM = 8
"""The body goes on in chunks."""

PREFIX = Struct("<IIBBHIQ")
"""Both lengths and the fixed part of the header."""
FIXED_HEADER_SIZE_BYTES = 16
PREFIX_SIZE_BYTES = PREFIX.size
HEADER_LIMIT_BYTES = 1 << 20
BODY_LIMIT_BYTES = 64 << 20
STREAM_WINDOW_BYTES = 256 << 10
"""How much of a body may be sent in chunks before any credit was granted."""
CHUNK_LIMIT_BYTES = 64 << 10
CHUNK_COST_MIN = 1 << 10
"""What even the smallest chunk takes of the credit."""

REQUEST_TAIL = Struct("<QH")
"""Deadline in nanoseconds of CLOCK_MONOTONIC (0: none) and the length of the correlation id that follows."""

Buffer = Union[bytes, bytearray, memoryview]


class ProtocolError(Exception):
    """What was read is no frame."""


class Frame(NamedTuple):
    """One frame."""

    kind: int
    flags: int = 0
    code: int = 0
    call: int = 0
    id: int = 0
    tail: bytes = b""
    body: bytes = b""


class RequestTail(NamedTuple):
    """The tail of a request."""

    deadline_ns: int
    cid: str
    metadata: bytes


def encode(frame: Frame) -> bytes:
    """The bytes of a frame."""
    kind, flags, code, call, id, tail, body = frame
    return PREFIX.pack(FIXED_HEADER_SIZE_BYTES + len(tail), len(body), kind, flags, code, call, id) + tail + body


def decode(data: Buffer, offset: int = 0, body_limit_bytes: int = BODY_LIMIT_BYTES) -> Optional[Tuple[Frame, int]]:
    """The frame at an offset and where the next one begins; None if the data end before it does."""
    available = len(data) - offset
    if available < PREFIX_SIZE_BYTES:
        return None
    header_size, body_size, kind, flags, code, call, id = PREFIX.unpack_from(data, offset)
    check_sizes(header_size, body_size, body_limit_bytes)
    tail_at = offset + PREFIX_SIZE_BYTES
    body_at = offset + 8 + header_size
    end = body_at + body_size
    if len(data) < end:
        return None
    return Frame(kind, flags, code, call, id, bytes(data[tail_at:body_at]), bytes(data[body_at:end])), end


def check_sizes(header_size: int, body_size: int, body_limit_bytes: int = BODY_LIMIT_BYTES) -> None:
    """Raises ProtocolError if a frame can't have these sizes."""
    if not FIXED_HEADER_SIZE_BYTES <= header_size <= HEADER_LIMIT_BYTES:
        raise ProtocolError(f"a header of {header_size} bytes")
    if body_size > body_limit_bytes:
        raise ProtocolError(f"a body of {body_size} bytes, the limit is {body_limit_bytes}")


def chunk_cost(size_bytes: int) -> int:
    """What a chunk of this length takes of the credit; an empty one, which only ends a body, takes nothing."""
    return max(size_bytes, CHUNK_COST_MIN) if size_bytes else 0


def encode_request_tail(tail: RequestTail) -> bytes:
    """The bytes of a request's tail."""
    cid = tail.cid.encode()
    return REQUEST_TAIL.pack(tail.deadline_ns, len(cid)) + cid + tail.metadata


def decode_request_tail(tail: bytes) -> RequestTail:
    """A request's tail; an absent one has no deadline, no correlation id and no metadata."""
    if not tail:
        return RequestTail(0, "", b"")
    if len(tail) < REQUEST_TAIL.size:
        raise ProtocolError(f"a request's tail of {len(tail)} bytes")
    deadline_ns, size = REQUEST_TAIL.unpack_from(tail)
    end = REQUEST_TAIL.size + size
    if len(tail) < end:
        raise ProtocolError("a request's tail ends within the correlation id")
    return RequestTail(deadline_ns, tail[REQUEST_TAIL.size : end].decode(), tail[end:])
