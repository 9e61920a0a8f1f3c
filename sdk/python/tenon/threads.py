"""The threads of a worker, and what they wait on."""

import threading
from typing import Any, Optional

from .context import Request


class Thread:
    """A thread that runs handlers, or parks on its lock until it has something to do."""

    def __init__(self, is_spare: bool = False) -> None:
        self.is_spare = is_spare
        self.lock = threading.Lock()
        self.lock.acquire()
        self.leads = False
        self.is_bound = False
        self.job: Optional[Request] = None
        self.ident = 0
        self.native_id = 0


class Waiter:
    """What a thread waits for, until it is there: the answer of a host call, a piece of a body, credit for another one."""

    __slots__ = ("answer", "cancelled", "lock", "request")

    def __init__(self, request: Optional[Request] = None) -> None:
        self.answer: Any = None
        self.cancelled = False
        self.request = request
        """The request whose own thread waits; none if another one does."""
        self.lock = threading.Lock()
        self.lock.acquire()

    @property
    def is_over(self) -> bool:
        return self.answer is not None or self.cancelled

    def deliver(self, answer: Any) -> None:
        if not self.is_over:
            self.answer = answer
            self.lock.release()

    def cancel(self) -> None:
        if not self.is_over:
            self.cancelled = True
            self.lock.release()
