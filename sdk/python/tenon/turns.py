"""Whose turn it is. Of all threads one leads: it alone reads the socket, and while it runs a handler, only those run beside it that
had the lead and took so long that it went to another thread.

A thread that waits for an answer passes the lead on, and gets it back when the answer is there and its turn comes. So two threads
never want the interpreter at once: on the way of a short call that would cost more than all else.
"""

import threading
from collections import deque
from time import monotonic
from typing import Any, Callable, Deque, List, Optional

from .context import Request
from .current import CURRENT
from .processor import Processor
from .threads import Thread, Waiter

SHORT_SECONDS = 0.001
"""A handler that runs for longer between its calls of the platform sends by itself."""

Run = Callable[[Thread], None]
"""What a thread does from its start on."""


class Turns:
    """The threads of a worker, and what waits for one of them."""

    def __init__(self, run: Run, thread_limit: int, connection: Any) -> None:
        self._run = run
        self._limit = thread_limit
        self._connection = connection
        self.processor = Processor()
        # All but the two queues changes under the mutex only.
        self._mutex = threading.Lock()
        self._leader: Optional[Thread] = None
        self.busy: Optional[Request] = None
        """The request that the leader runs."""
        self.began = 0.0
        """Since when the leader runs it, or runs it again."""
        self._idle: List[Thread] = []
        self._count = 0
        self._spare: Optional[Thread] = None
        self._spare_is_free = False
        self.pending: Deque[Request] = deque()
        """Requests that were read and that no thread has begun yet."""
        self.answered: Deque[Waiter] = deque()
        """What came for threads that wait for the lead."""

    def start(self) -> Thread:
        """Makes the calling thread the first one; it leads."""
        first = Thread()
        self._count = 1
        self._leader = first
        first.leads = True
        first.lock.release()
        return first

    @property
    def leader_native_id(self) -> int:
        """The leader, as the operating system calls it."""
        return self._leader.native_id if self._leader is not None else 0

    def leads(self, thread: Any) -> bool:
        """Whether a thread leads."""
        return self._leader is thread

    def is_short(self, request: Request) -> bool:
        """Whether the thread of a request leads and has run for a moment only: then what it sends can wait for what others send."""
        return self._leader is request._thread and monotonic() - self.began < SHORT_SECONDS

    # What the leader does with its lead.

    def begin(self, request: Request) -> None:
        """The leader runs a request from here on, and may lose the lead meanwhile."""
        self._connection.flush_others(request._entry)
        self.began = monotonic()
        self.busy = request

    def end(self, thread: Thread) -> bool:
        """Notes that a thread runs nothing any more, or waits; True if it leads, so that nobody else reads while it does."""
        with self._mutex:
            if self._leader is thread:
                self.busy = None
                return True
        # It may have lost the lead a moment ago, and what it queued with it.
        self._connection.flush()
        return False

    def deliver(self, waiter: Waiter, answer: Any) -> None:
        """Gives a waiter its answer; its thread goes on when it gets the lead, or at once if it may take long."""
        request = waiter.request
        leader = self._leader
        if request is None or leader is None or leader.is_spare or request._entry.blocking or request._entry.slow_until:
            waiter.deliver(answer)
        elif not waiter.is_over:
            waiter.answer = answer
            if request._thread is not leader:
                self.answered.append(waiter)

    def oldest_pending(self) -> Optional[Request]:
        """Takes the oldest request that no thread has begun."""
        try:
            return self.pending.popleft()
        except IndexError:
            # Another thread was quicker.
            return None

    def pass_on(self, parks: Optional[Thread]) -> bool:
        """Has the thread lead whose answer came first; the one that led waits, or parks. False if there is none."""
        with self._mutex:
            if not self.answered:
                return False
            waiter = self.answered.popleft()
            request = waiter.request
            assert request is not None
            if parks is not None:
                CURRENT.set(None)
                self._idle.append(parks)
            self._leader = request._thread
            self.began = monotonic()
            self.busy = request
        self._connection.flush_others(request._entry)
        self.processor.bring(request._thread)
        # The last thing before the caller waits itself: whoever is woken wants the interpreter.
        waiter.lock.release()
        return True

    def hand_over(self) -> bool:
        """Has a free thread lead if there is one."""
        with self._mutex:
            follower = self._follower()
            if follower is None:
                return False
            self.processor.bring(follower)
            self._promote(follower)
            return True

    def hand_over_as_spare(self, request: Request) -> bool:
        """Queues a request that the spare thread has read, and has a free thread lead if there is one by now."""
        with self._mutex:
            self.pending.append(request)
            if not self._idle:
                return False
            self._spare_is_free = True
            self._promote(self._idle.pop())
            return True

    def give_away(self, request: Request) -> bool:
        """Gives a request of a slow service to another thread; False if the leader is to run it after all."""
        entry = request._entry
        if not entry.blocking and monotonic() >= entry.slow_until:
            entry.slow_until = 0.0
            return False
        with self._mutex:
            thread = self._free_thread()
            if thread is None:
                return False
            thread.job = request
            thread.lock.release()
            return True

    # What others do.

    def take_over(self, busy: Request) -> bool:
        """Makes another thread the leader if this one still runs the same handler."""
        with self._mutex:
            if self.busy is not busy:
                return False
            # They have waited for that handler for long enough.
            while self.answered:
                self.answered.popleft().lock.release()
            follower = self._follower()
            if follower is None:
                return False
            self._promote(follower)
            return True

    def next_or_park(self, me: Thread) -> Optional[Request]:
        """What a thread that does not lead does next: the oldest pending request, or it parks."""
        CURRENT.set(None)
        with self._mutex:
            if self.pending:
                return self.pending.popleft()
            self._idle.append(me)
            return None

    # With the mutex held.

    def _promote(self, thread: Thread) -> None:
        """Makes a parked thread the leader."""
        self._leader = thread
        self.busy = None
        thread.leads = True
        thread.lock.release()

    def _follower(self) -> Optional[Thread]:
        """A thread that can lead: a parked one, a new one, or the spare one."""
        thread = self._free_thread()
        if thread is not None:
            return thread
        if self._spare is None:
            self._spare = self._start_thread(Thread(is_spare=True))
            return self._spare
        if self._spare_is_free:
            self._spare_is_free = False
            return self._spare
        return None

    def _free_thread(self) -> Optional[Thread]:
        """A thread that can run a handler: a parked or a new one."""
        if self._idle:
            return self._idle.pop()
        if self._count >= self._limit:
            return None
        thread = self._start_thread(Thread())
        if thread is None:
            self._limit = self._count
        else:
            self._count += 1
        return thread

    def _start_thread(self, thread: Thread) -> Optional[Thread]:
        try:
            threading.Thread(target=self._run, args=(thread,), name="tenon-handler", daemon=True).start()
        except RuntimeError:
            # The system allows no more threads: those that there are have to do.
            return None
        return thread
