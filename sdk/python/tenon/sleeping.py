"""Waiting that ends when the call is cancelled."""

import threading
from typing import Any

from .errors import Cancelled


class _Nap:
    """What a request waits for while it sleeps."""

    def __init__(self) -> None:
        self._over = threading.Event()

    def cancel(self) -> None:
        self._over.set()

    def wait(self, seconds: float) -> None:
        self._over.wait(seconds)


def sleep(request: Any, seconds: float) -> None:
    """Waits in a synchronous service; Cancelled if nobody waits for its answer any more."""
    if seconds < 0:
        raise ValueError("one can't sleep for a negative time")
    nap = _Nap()
    before, request._waiting = request._waiting, nap
    try:
        if not request.cancelled:
            nap.wait(seconds)
    finally:
        request._waiting = before
    if request.cancelled:
        raise Cancelled()
