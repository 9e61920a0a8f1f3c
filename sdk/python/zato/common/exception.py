"""Exceptions, as existing service files import them."""

from typing import Any

from tenon.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    InternalServerError,
    InvocationFailed,
    MethodNotAllowed,
    NotFound,
    ServiceMissing,
    ServiceUnavailable,
    StatusError,
    TenonError,
    TooManyRequests,
    Unauthorized,
)
from tenon.errors import HostTimeout as TimeoutException

ZatoException = TenonError


class Reportable(StatusError):
    """An exception whose status is given with it."""

    def __init__(self, cid: str = "", msg: Any = "", status: int = 500, **details: Any) -> None:
        super().__init__(cid, str(msg), status=int(status), **details)


HTTPException = StatusAwareException = Reportable
ServiceMissingException = ServiceMissing
RuntimeInvocationError = InvocationFailed

__all__ = [
    "BadRequest",
    "Conflict",
    "Forbidden",
    "HTTPException",
    "InternalServerError",
    "MethodNotAllowed",
    "NotFound",
    "Reportable",
    "RuntimeInvocationError",
    "ServiceMissingException",
    "ServiceUnavailable",
    "StatusAwareException",
    "TimeoutException",
    "TooManyRequests",
    "Unauthorized",
    "ZatoException",
]
