"""Replies to calls that a service did not answer itself: exceptions, cancelled and late calls."""

import logging
import time
from typing import Any, Dict, Optional

from . import payloads
from .context import Request
from .entry import Reply
from .errors import BadRequest, Cancelled, StatusError
from .loading import traceback_of
from .protocol import FLAG_ERROR, FLAG_JSON, REQUEST_TAIL

CANCELLED = 499
TIMED_OUT = 504
PROBLEM = "application/problem+json"
DEPTH_LIMIT = 100
"""When Python's limit of recursion is hit, a body that is nested deeper than this is held to be the reason."""


def refusal(request: Request) -> Optional[Reply]:
    """The reply to a request that is not worth running any more."""
    if request.cancelled:
        return CANCELLED, 0, b"", b""
    tail = request._tail
    if tail:
        deadline = REQUEST_TAIL.unpack_from(tail)[0]
        if deadline and time.monotonic_ns() >= deadline:
            return status_reply(TIMED_OUT, "The deadline passed before the service was run", request.cid)
    return None


def status_reply(status: int, detail: str, cid: str) -> Reply:
    """A reply with a problem in it."""
    return _problem_reply(StatusError(cid, detail, status=status), cid)


def too_large_reply(request: Request, size: int, limit: int) -> Reply:
    """The reply instead of one that the server would not accept."""
    message = f"the service's answer of {size} bytes, or its headers, are larger than the limit of {limit} bytes"
    return _exception_reply("AnswerTooLarge", message, "", request.cid)


def error_reply(request: Request, error: BaseException) -> Reply:
    """The reply to a request whose service raised an exception."""
    if isinstance(error, Cancelled):
        return CANCELLED, 0, b"", b""
    if isinstance(error, (RecursionError, payloads.TooDeep)) and _is_deep(request):
        error = BadRequest(request.cid, "The body is nested too deeply")
    if isinstance(error, StatusError):
        if error.status >= 500:
            logging.getLogger(request._entry.name).error("answered with %s: %s", error.status, error, exc_info=error)
        try:
            return _problem_reply(error, request.cid)
        except Exception as unusable:
            error = unusable
    try:
        message = str(error)
    except Exception as unprintable:
        message = f"the exception can't be shown: {type(unprintable).__name__}"
    if isinstance(error, SystemExit):
        message = f"the service called sys.exit({error.code!r})"
    return _exception_reply(type(error).__qualname__, message, _trace(error), request.cid)


def _is_deep(request: Request) -> bool:
    return payloads.depth(str(request._body, "utf-8", "replace")) > DEPTH_LIMIT


def _trace(error: BaseException) -> str:
    try:
        return traceback_of(error)
    except Exception as unprintable:
        return f"the traceback can't be shown: {type(unprintable).__name__}"


def _problem_reply(error: StatusError, cid: str) -> Reply:
    tail: Dict[str, Any] = {"content_type": PROBLEM}
    headers = error.headers()
    if headers:
        tail["headers"] = headers
    return error.status, FLAG_JSON, payloads.dumps(tail), payloads.dumps(error.problem(cid))


def _exception_reply(kind: str, message: str, trace: str, cid: str) -> Reply:
    described = {"type": kind, "message": message[:8192], "traceback": trace, "cid": cid}
    try:
        body = payloads.dumps(described)
    except ValueError:
        # Lone surrogates, for instance.
        body = payloads.dumps({name: value.encode("utf-8", "backslashreplace").decode() for name, value in described.items()})
    return 500, FLAG_JSON | FLAG_ERROR, b"", body
