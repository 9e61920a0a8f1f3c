"""Exceptions, as existing service files import them."""

from typing import Any

from tenon.errors import (
    BadRequest,
    Conflict,
    ConnectionException,
    Forbidden,
    InternalServerError,
    InvocationFailed,
    MethodNotAllowed,
    NotFound,
    OutgoingError,
    ServiceMissing,
    ServiceUnavailable,
    StatusError,
    TenonError,
    TooManyRequests,
    Unauthorized,
)
from tenon.errors import HostTimeout as TimeoutException

ZatoException = TenonError
HTTPException = StatusAwareException = Reportable = ClientHTTPError = StatusError
ParsingException = ValidationException = BadRequest
URLNotFound = NotFound
BackendInvocationError = OutgoingError
ServiceMissingException = ServiceMissing
RuntimeInvocationError = InvocationFailed


class ClientSecurityException(ZatoException):
    """A client is not who it says, or may not do what it asks for."""


class ProcessingException(ZatoException):
    """Something could not be worked out."""


class Inactive(ZatoException):
    """What was asked for is switched off."""

    def __init__(self, name: Any) -> None:
        super().__init__(None, f"`{name}` is inactive")


BAD_REQUEST = 400
UNAUTHORIZED = 401
FORBIDDEN = 403
NOT_FOUND = 404
METHOD_NOT_ALLOWED = 405
CONFLICT = 409
TOO_MANY_REQUESTS = 429
INTERNAL_SERVER_ERROR = 500
SERVICE_UNAVAILABLE = 503

__all__ = [
    "BAD_REQUEST",
    "CONFLICT",
    "FORBIDDEN",
    "INTERNAL_SERVER_ERROR",
    "METHOD_NOT_ALLOWED",
    "NOT_FOUND",
    "SERVICE_UNAVAILABLE",
    "TOO_MANY_REQUESTS",
    "UNAUTHORIZED",
    "BackendInvocationError",
    "BadRequest",
    "ClientHTTPError",
    "ClientSecurityException",
    "Conflict",
    "ConnectionException",
    "Forbidden",
    "HTTPException",
    "Inactive",
    "InternalServerError",
    "MethodNotAllowed",
    "NotFound",
    "ParsingException",
    "ProcessingException",
    "Reportable",
    "RuntimeInvocationError",
    "ServiceMissingException",
    "ServiceUnavailable",
    "StatusAwareException",
    "TimeoutException",
    "TooManyRequests",
    "URLNotFound",
    "Unauthorized",
    "ValidationException",
    "ZatoException",
]
