"""Exceptions, as existing service files import them."""

from zato.common.exception import (
    BadRequest,
    ClientHTTPError,
    Conflict,
    Forbidden,
    InternalServerError,
    MethodNotAllowed,
    NotFound,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
)

__all__ = [
    "BadRequest",
    "ClientHTTPError",
    "Conflict",
    "Forbidden",
    "InternalServerError",
    "MethodNotAllowed",
    "NotFound",
    "ServiceUnavailable",
    "TooManyRequests",
    "Unauthorized",
]
