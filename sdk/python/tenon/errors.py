"""Exceptions: those that a service raises for its caller, and those that the platform raises for a service."""

from http import HTTPStatus
from typing import Any, Dict, Optional, Type

from .current import current_cid


class TenonError(Exception):
    """The base of all exceptions here."""

    def __init__(self, cid: Any = None, msg: Any = None, *args: Any) -> None:
        super().__init__(*(each for each in (cid, msg, *args) if each is not None))
        self.cid = cid if msg is not None else current_cid()
        self.msg = cid if msg is None else msg


class Cancelled(BaseException):
    """The caller has gone or the deadline has passed; raised by the next thing that the service asks of the platform.

    No `Exception`, so that code that catches everything does not go on by accident.
    """


class StatusError(TenonError):
    """An answer with a status, meant for the caller.

    `raise NotFound(self.cid, 'No such user')` and `raise NotFound('No such user')` are the same. A status that has no class of its
    own is the third argument: `raise StatusError(self.cid, 'Tea', 418)`.
    """

    status = 500
    default_message = ""

    def __init__(self, cid: Optional[str] = None, msg: Optional[str] = None, *args: Any, **details: Any) -> None:
        if msg is None and cid and cid != current_cid():
            cid, msg = None, cid
        # The caller may always read the message: see docs/from-zato.md.
        details.pop("needs_msg", None)
        if args and type(self).status == StatusError.status and isinstance(args[0], int):
            # A class without a status of its own is given one: `super().__init__(cid, msg, 402)`.
            details["status"], args = args[0], args[1:]
        self.status = int(details.pop("status", self.status))
        self.details = details
        message = str(msg) if msg is not None else (self.default_message or _phrase(self.status))
        Exception.__init__(self, message, *args)
        self.cid = cid or current_cid()
        self.msg = message

    @property
    def reason(self) -> str:
        """The status in words."""
        return _phrase(self.status)

    def headers(self) -> Dict[str, str]:
        """Headers of the answer."""
        return {}

    def problem(self, cid: str) -> Dict[str, Any]:
        """The body of the answer, as RFC 9457 has it."""
        kind = "tenon:" + self.reason.lower().replace(" ", "-")
        problem: Dict[str, Any] = {"type": kind, "title": self.reason, "status": self.status, "detail": self.public_message()}
        problem["cid"] = cid
        path = getattr(self, "path", "")
        if path:
            problem["errors"] = [{"field": path, "message": getattr(self, "wrong", "") or self.msg}]
        return problem

    def public_message(self) -> str:
        """What the caller may read of it."""
        return str(self.msg)


class BadRequest(StatusError):
    """400: what the caller sent is wrong. `path` names the element, such as `/lines[1]/qty`."""

    status = 400
    wrong: str = ""
    """What is wrong with the element, without its path."""

    def __init__(self, cid: Optional[str] = None, msg: Optional[str] = None, *args: Any, path: str = "", **details: Any) -> None:
        super().__init__(cid, msg, *args, **details)
        self.path = path


class Unauthorized(StatusError):
    """401: the caller is not known. `challenge` becomes the header WWW-Authenticate."""

    status = 401

    def __init__(self, cid: Optional[str] = None, msg: Optional[str] = None, challenge: str = "", *args: Any, **details: Any) -> None:
        super().__init__(cid, msg, *args, **details)
        self.challenge = challenge

    def headers(self) -> Dict[str, str]:
        return {"WWW-Authenticate": self.challenge} if self.challenge else {}


class Forbidden(StatusError):
    """403: the caller may not do this."""

    status = 403


class NotFound(StatusError):
    """404: what was asked for does not exist."""

    status = 404


class MethodNotAllowed(StatusError):
    """405: the resource does not have this method. `allow` lists those that it has."""

    status = 405

    def __init__(self, cid: Optional[str] = None, msg: Optional[str] = None, allow: str = "", *args: Any, **details: Any) -> None:
        super().__init__(cid, msg, *args, **details)
        self.allow = allow

    def headers(self) -> Dict[str, str]:
        return {"Allow": self.allow} if self.allow else {}


class Conflict(StatusError):
    """409: it contradicts what is there."""

    status = 409


class _Later(StatusError):
    """The caller is to come again; `retry_after` says in how many seconds."""

    def __init__(self, cid: Optional[str] = None, msg: Optional[str] = None, *args: Any, retry_after: Optional[float] = None, **details: Any) -> None:
        super().__init__(cid, msg, *args, **details)
        self.retry_after = retry_after

    def headers(self) -> Dict[str, str]:
        return {} if self.retry_after is None else {"Retry-After": str(max(0, -int(-self.retry_after // 1)))}


class TooManyRequests(_Later):
    """429: the caller asks too often. `retry_after` is in seconds."""

    status = 429


class InternalServerError(StatusError):
    """500, with a message that the caller may see."""

    status = 500


class ServiceUnavailable(_Later):
    """503: try again later. `retry_after` is in seconds."""

    status = 503


class HostCallError(StatusError):
    """The platform could not do what a service asked of it: a connection is down, a service is missing, time is up.

    `code` is a status as HTTP has them, `type` the kind of failure. If the service does not catch it, its caller gets a 5xx.
    """

    code = 500

    def __init__(self, message: Any = None, code: Any = None, type: str = "") -> None:
        if isinstance(code, str):
            # A service raises it itself: `raise TimeoutException(self.cid, 'No answer')`.
            message, code = code, None
        super().__init__(current_cid(), message)
        self.code = self.code if code is None else code
        self.type = type
        # A mistake of the service, such as a connection that does not exist, is not the fault of its caller.
        self.status = self.code if 500 <= self.code <= 599 else 500

    def public_message(self) -> str:
        """Addresses and messages of other systems are for the log, where the server writes them under the same cid."""
        return "something that the service needs is not available; the log says what, under this cid"


class ServiceMissing(HostCallError, KeyError):
    """No service has this name; a KeyError too, as service files may expect it."""

    def __str__(self) -> str:
        # A KeyError would put it in quotes.
        return str(self.msg)


class InvocationFailed(HostCallError):
    """The invoked service raised an exception that it did not mean for its caller."""


class ConnectionException(HostCallError):
    """The other side of a connection could not be reached, did not answer in time, or could not do what it was asked to do."""


class OutgoingError(ConnectionException):
    """An outgoing connection could not do what it was asked to do."""


class HostTimeout(ConnectionException):
    """The platform did not answer in time."""

    code = 504


BY_STATUS: Dict[int, Type[StatusError]] = {
    each.status: each
    for each in (
        BadRequest,
        Unauthorized,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        Conflict,
        TooManyRequests,
        InternalServerError,
        ServiceUnavailable,
    )
}


def from_problem(problem: Any, status: int) -> StatusError:
    """The exception that an invoked service raised for its caller."""
    message, path, wrong = "", "", ""
    if isinstance(problem, dict):
        message = str(problem.get("detail") or problem.get("title") or "")
        first = next((each for each in problem.get("errors") or [] if isinstance(each, dict)), {})
        path, wrong = str(first.get("field") or ""), str(first.get("message") or "")
    error = BY_STATUS.get(status, StatusError)(current_cid(), message, status=status)
    if path and isinstance(error, BadRequest):
        error.path, error.wrong = path, wrong
    return error


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"
