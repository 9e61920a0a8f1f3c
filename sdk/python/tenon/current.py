"""The request that the running code answers, for log lines and exceptions."""

from contextvars import ContextVar
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from .context import Request

CURRENT: "ContextVar[Optional[Request]]" = ContextVar("tenon_request", default=None)


def current_cid() -> str:
    """The correlation id of the running request; empty outside of one."""
    request = CURRENT.get()
    return "" if request is None else request.cid
