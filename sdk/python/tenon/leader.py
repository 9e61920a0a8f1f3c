"""Reads frames and runs services: one thread leads, the others follow.

The leader reads the socket and runs synchronous handlers itself, so that a short call costs no hand-over between threads.
If a handler takes long, the monitor makes another thread the leader, and the old one ends its handler and parks.
If all threads are busy, a spare one leads: it runs nothing, but goes on reading, so that cancels, pings and answers to host
calls are never late. A service that is taken over often is given a thread of its own from the start, for a while.
"""

import itertools
import os
import socket
import sys
import threading
import time
from collections import deque
from typing import Any, Deque, Dict, List, Optional, Tuple

from . import payloads, protocol
from .context import Request
from .current import CURRENT
from .declare import Typed
from .entry import Entry, Reply
from .errors import Cancelled
from .host import Convert, HostReturn
from .protocol import FLAG_JSON, PREFIX, PREFIX_SIZE_BYTES
from .replies import error_reply, refusal, status_reply, too_large_reply

TICK_SECONDS = 0.002
TICKS_IF_BLOCKED = 2
TICKS_IN_ANY_CASE = 10
IDLE_TICKS = 25
SLOW_TAKEOVERS = 3
SLOW_RATE = 0.02
SLOW_SECONDS_MIN = 1.0
SLOW_SECONDS_MAX = 60.0
BUFFER_BYTES = 64 << 10
COPY_LIMIT_BYTES = 32 << 10
EXIT_PROTOCOL = 76
EXIT_BUG = 70

_FIXED = protocol.FIXED_HEADER_SIZE_BYTES


class Thread:
    """A thread that runs handlers, or parks on its lock until it has something to do."""

    def __init__(self, is_spare: bool = False) -> None:
        self.is_spare = is_spare
        self.lock = threading.Lock()
        self.lock.acquire()
        self.leads = False
        self.job: Optional[Request] = None
        self.ident = 0
        self.native_id = 0


class Waiter:
    """A host call of a thread, until its answer is there."""

    __slots__ = ("answer", "cancelled", "lock")

    def __init__(self) -> None:
        self.answer: Optional[HostReturn] = None
        self.cancelled = False
        self.lock = threading.Lock()
        self.lock.acquire()

    @property
    def is_over(self) -> bool:
        return self.answer is not None or self.cancelled

    def deliver(self, answer: HostReturn) -> None:
        if not self.is_over:
            self.answer = answer
            self.lock.release()

    def cancel(self) -> None:
        if not self.is_over:
            self.cancelled = True
            self.lock.release()


class Runtime:
    """A worker's socket, threads and running requests."""

    def __init__(self, sock: socket.socket, thread_limit: int, body_limit_bytes: int = protocol.BODY_LIMIT_BYTES) -> None:
        self._sock = sock
        self._thread_limit = thread_limit
        self._body_limit = body_limit_bytes
        self._send_lock = threading.Lock()
        self._entries: List[Entry] = []
        self._outputs: Dict[str, Typed] = {}
        # What was received and not read yet: bytes start to end of the buffer. Only the leader touches it.
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0
        # Leadership. `_busy` is the request that the leader runs; all of it changes under the mutex.
        self._mutex = threading.Lock()
        self._leader: Optional[Thread] = None
        self._busy: Optional[Request] = None
        self._idle: List[Thread] = []
        self._count = 0
        self._spare: Optional[Thread] = None
        self._spare_is_free = False
        # Requests that were read and that no thread has begun yet.
        self._pending: Deque[Request] = deque()
        self._active: Dict[int, Request] = {}
        self._waiters: Dict[int, Any] = {}
        self._calls = itertools.count(1)
        self._draining = False
        self._monitor_sleeps = False
        self._wake_monitor = threading.Event()
        self._aio: Any = None
        self._sink: Any = None
        self._streams: Tuple[Any, ...] = ()

    # Beginning and end.

    def serve(self, entries: List[Entry], hello: bytes, sink: Any) -> None:
        """Says hello and runs what is asked for; the calling thread leads first. Does not come back."""
        self._entries = entries
        self._outputs = {entry.name: entry.output for entry in entries if isinstance(entry.output, Typed)}
        self._sink = sink
        self._streams = tuple(each for each in (sys.stdout, sys.stderr) if hasattr(each, "has_partial_line"))
        if any(entry.is_async for entry in entries):
            from .aio import Loop

            self._aio = Loop(self)
        self.send(protocol.HELLO, FLAG_JSON, body=hello)
        threading.Thread(target=self._monitor, name="tenon-monitor", daemon=True).start()
        first = Thread()
        self._count = 1
        first.leads = True
        self._leader = first
        first.lock.release()
        self._run_thread(first)

    def exit(self, code: int) -> None:
        """Ends the process, whichever thread asks for it."""
        try:
            if self._sink is not None and code == 0:
                self._sink.report(at_once=True)
        finally:
            os._exit(code)

    def wake_monitor(self) -> None:
        """Makes the monitor look at what is going on."""
        if self._monitor_sleeps:
            self._monitor_sleeps = False
            self._wake_monitor.set()

    # Sending.

    def send(self, kind: int, flags: int = 0, code: int = 0, call: int = 0, id: int = 0, tail: bytes = b"", body: bytes = b"") -> None:
        """Sends a frame."""
        size = len(body)
        head = PREFIX.pack(_FIXED + len(tail), size, kind, flags, code, call, id) + tail
        try:
            if size < COPY_LIMIT_BYTES:
                with self._send_lock:
                    self._sock.sendall(head + body)
            else:
                with self._send_lock:
                    self._sock.sendall(head)
                    self._sock.sendall(body)
        except OSError:
            # The server is gone, or closed this worker.
            os._exit(0)

    def log(self, fields: Dict[str, Any]) -> None:
        """Sends a log line."""
        try:
            body = payloads.dumps(fields)
        except ValueError:
            body = payloads.dumps({name: str(value).encode("utf-8", "backslashreplace").decode() for name, value in fields.items()})
        self.send(protocol.LOG, FLAG_JSON, body=body)

    # Reading.

    def _fill(self, needed: int) -> None:
        """Receives until `needed` bytes are there from the start on."""
        if self._start == self._end:
            self._start = self._end = 0
        if self._start + needed > len(self._buffer):
            size = max(needed, BUFFER_BYTES)
            rest = bytes(self._view[self._start : self._end])
            fresh = self._buffer if size == len(self._buffer) else bytearray(size)
            fresh[: len(rest)] = rest
            self._buffer, self._view = fresh, memoryview(fresh)
            self._start, self._end = 0, len(rest)
        while self._end - self._start < needed:
            try:
                size = self._sock.recv_into(self._view[self._end :])
            except InterruptedError:
                continue
            except OSError:
                size = 0
            if not size:
                # The server closed the socket. In whatever thread this is seen, the worker has nobody to work for.
                os._exit(0)
            self._end += size

    def _has_frame(self) -> bool:
        """Whether a whole frame was received."""
        available = self._end - self._start
        if available < PREFIX_SIZE_BYTES:
            return False
        header_size, body_size = PREFIX.unpack_from(self._buffer, self._start)[:2]
        return bool(available >= 8 + header_size + body_size)

    def _read(self) -> Optional[Request]:
        """Reads a frame and acts on it; gives the request if it is one."""
        if self._end - self._start < PREFIX_SIZE_BYTES:
            self._fill(PREFIX_SIZE_BYTES)
        header_size, body_size, kind, flags, code, call, id = PREFIX.unpack_from(self._buffer, self._start)
        total = 8 + header_size + body_size
        if self._end - self._start < total:
            self._check_sizes(header_size, body_size)
            self._fill(total)
        elif header_size < _FIXED:
            self._check_sizes(header_size, body_size)
        start = self._start
        body_at = start + 8 + header_size
        end = start + total
        view = self._view
        tail = bytes(view[start + PREFIX_SIZE_BYTES : body_at]) if header_size > _FIXED else b""
        body = bytes(view[body_at:end]) if body_size else b""
        self._start = end
        if len(self._buffer) > BUFFER_BYTES and end == self._end:
            # The memory of a large frame is not kept.
            self._buffer = bytearray(BUFFER_BYTES)
            self._view = memoryview(self._buffer)
            self._start = self._end = 0
        if kind == protocol.REQUEST:
            return self._accept(code, id, flags, tail, body)
        self._control(kind, flags, code, call, id, tail, body)
        return None

    def _check_sizes(self, header_size: int, body_size: int) -> None:
        try:
            protocol.check_sizes(header_size, body_size, max(self._body_limit, protocol.BODY_LIMIT_BYTES))
        except protocol.ProtocolError as error:
            sys.__stderr__.write(f"tenon worker: the server sent {error}\n")  # type: ignore[union-attr]
            os._exit(EXIT_PROTOCOL)

    def _accept(self, code: int, id: int, flags: int, tail: bytes, body: bytes) -> Optional[Request]:
        if code >= len(self._entries):
            status, reply_flags, reply_tail, reply_body = status_reply(404, f"the worker has no service {code}", "")
            self.send(protocol.REPLY, reply_flags, status, 0, id, reply_tail, reply_body)
            return None
        request = Request(self, self._entries[code], id, flags, tail, body)
        if self._draining:
            self.reply(request, status_reply(503, "the worker is draining", request.cid))
            return None
        self._active[id] = request
        return request

    def _control(self, kind: int, flags: int, code: int, call: int, id: int, tail: bytes, body: bytes) -> None:
        if kind == protocol.HOST_RETURN:
            waiter = self._waiters.pop(call, None)
            if waiter is not None:
                waiter.deliver(HostReturn(code, flags, tail, body))
        elif kind == protocol.CANCEL:
            request = self._active.get(id)
            if request is not None:
                self._cancel(request)
        elif kind == protocol.PING:
            self.send(protocol.PING, flags, code, call, id, tail, body)
        elif kind == protocol.DRAIN:
            self._draining = True
            self._exit_if_drained()
        # LATER needs no reaction, as a leader that waits hands over as soon as there is something to hand over. Kinds that a later
        # version of the protocol may add are not for this worker.

    def _cancel(self, request: Request) -> None:
        request.cancelled = True
        if request._entry.is_async:
            self._aio.cancel(request)
        elif request._waiting is not None:
            request._waiting.cancel()

    def _exit_if_drained(self) -> None:
        if self._draining and not self._active:
            self.exit(0)

    # Leading.

    def _run_thread(self, me: Thread) -> None:
        me.ident = threading.get_ident()
        me.native_id = threading.get_native_id()
        try:
            while True:
                me.lock.acquire()
                leads, me.leads = me.leads, False
                request, me.job = me.job, None
                if leads:
                    self._lead(me)
                    if me.is_spare:
                        continue
                if request is None:
                    request = self._next_or_park(me)
                while request is not None:
                    self.execute(request, me)
                    request = self._next_or_park(me)
        except BaseException:
            self._die()

    def _lead(self, me: Thread) -> None:
        """Reads and runs until another thread leads."""
        if me.is_spare:
            while not self._queue_as_spare(self._read()):
                pass
            return
        pending = self._pending
        mutex = self._mutex
        while True:
            request = self._oldest_pending() if pending else self._read()
            if request is None:
                continue
            entry = request._entry
            if entry.is_async:
                self._aio.start(request)
                continue
            if (entry.blocking or entry.slow_until) and self._give_away(request):
                continue
            entry.runs += 1
            # From here on the monitor may make another thread the leader.
            self._busy = request
            if self._monitor_sleeps:
                self.wake_monitor()
            self.execute(request, me)
            with mutex:
                if self._leader is not me:
                    return
                self._busy = None

    def _queue_as_spare(self, request: Optional[Request]) -> bool:
        """The spare leader's part: queues a request and, if a thread is free by now, lets that one lead."""
        if request is None:
            return False
        if request._entry.is_async:
            self._aio.start(request)
            return False
        with self._mutex:
            self._pending.append(request)
            if not self._idle:
                return False
            self._spare_is_free = True
            self._promote(self._idle.pop())
            return True

    def _oldest_pending(self) -> Optional[Request]:
        try:
            return self._pending.popleft()
        except IndexError:
            # Another thread was quicker.
            return None

    def _promote(self, thread: Thread) -> None:
        """Makes a parked thread the leader; the mutex is held."""
        self._leader = thread
        self._busy = None
        thread.leads = True
        thread.lock.release()

    def _follower(self) -> Optional[Thread]:
        """A thread that can lead: a parked one, a new one, or the spare one; the mutex is held."""
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
        """A thread that can run a handler: a parked or a new one; the mutex is held."""
        if self._idle:
            return self._idle.pop()
        if self._count >= self._thread_limit:
            return None
        thread = self._start_thread(Thread())
        if thread is None:
            self._thread_limit = self._count
        else:
            self._count += 1
        return thread

    def _start_thread(self, thread: Thread) -> Optional[Thread]:
        try:
            threading.Thread(target=self._run_thread, args=(thread,), name="tenon-handler", daemon=True).start()
        except RuntimeError:
            # The system allows no more threads: those that there are have to do.
            return None
        return thread

    def _give_away(self, request: Request) -> bool:
        """Gives a request of a slow service to another thread; False if the leader is to run it after all."""
        entry = request._entry
        if not entry.blocking and time.monotonic() >= entry.slow_until:
            entry.slow_until = 0.0
            return False
        with self._mutex:
            thread = self._free_thread()
            if thread is None:
                return False
            thread.job = request
            thread.lock.release()
            return True

    def _next_or_park(self, me: Thread) -> Optional[Request]:
        """What a thread that does not lead does next: the oldest pending request, or it parks."""
        CURRENT.set(None)
        with self._mutex:
            if self._pending:
                return self._pending.popleft()
            self._idle.append(me)
            return None

    def _die(self) -> None:
        """An error of this module: the server starts another worker, and the reason is on the real standard error."""
        import traceback

        stream = sys.__stderr__
        if stream is not None:
            stream.write("tenon worker: " + traceback.format_exc())
            stream.flush()
        os._exit(EXIT_BUG)

    # Watching the leader.

    def _monitor(self) -> None:
        last: Optional[Request] = None
        ticks = idle = 0
        while True:
            time.sleep(TICK_SECONDS)
            if self._sink.has_dropped:
                self._sink.report()
                idle = 0
            busy = self._busy
            if busy is None:
                last = None
                idle += 1
                if idle >= IDLE_TICKS:
                    self._sleep_monitor()
                    idle = 0
                continue
            idle = 0
            if busy is not last:
                last, ticks = busy, 0
                continue
            ticks += 1
            if ticks >= TICKS_IN_ANY_CASE or (ticks >= TICKS_IF_BLOCKED and self._leader_is_blocked()):
                self._take_over(busy)
                last = None

    def _sleep_monitor(self) -> None:
        self._wake_monitor.clear()
        self._monitor_sleeps = True
        if self._busy is None and not self._sink.has_dropped:
            self._wake_monitor.wait()
        self._monitor_sleeps = False

    def _leader_is_blocked(self) -> bool:
        leader = self._leader
        try:
            with open(f"/proc/self/task/{leader.native_id}/stat", "rb") as file:  # type: ignore[union-attr]
                return file.read(128).rpartition(b")")[2][1:2] in b"SD"
        except OSError:
            return False

    def _take_over(self, busy: Request) -> None:
        """Makes another thread the leader, as this one runs a long handler."""
        with self._mutex:
            if self._busy is not busy:
                return
            follower = self._follower()
            if follower is None:
                return
            self._promote(follower)
        # A thread that waits for the interpreter looks blocked too, so it is the rate that makes a service slow.
        entry = busy._entry
        if entry.runs > 1000:
            entry.runs //= 2
            entry.takeovers //= 2
            entry.slow_seconds = 0.0
        entry.takeovers += 1
        if entry.takeovers >= SLOW_TAKEOVERS and entry.takeovers > entry.runs * SLOW_RATE:
            entry.slow_seconds = min(max(entry.slow_seconds * 2, SLOW_SECONDS_MIN), SLOW_SECONDS_MAX)
            entry.slow_until = time.monotonic() + entry.slow_seconds
            entry.runs = entry.takeovers = 0

    # Running.

    def execute(self, request: Request, me: Thread) -> None:
        """Runs a synchronous service and sends its reply."""
        CURRENT.set(request)
        request._thread = me
        entry = request._entry
        try:
            reply = refusal(request)
            if reply is None:
                instance, handler = entry.begin(request)
                if entry.before is not None:
                    run_hook(entry.before, instance)
                returned = handler(instance)
                if entry.after is not None:
                    run_hook(entry.after, instance)
                reply = entry.finish(instance, returned)
        except BaseException as error:
            reply = error_reply(request, error)
        self.reply(request, reply)

    def reply(self, request: Request, reply: Reply) -> None:
        """Sends the reply of a request."""
        code, flags, tail, body = reply
        if len(body) > self._body_limit or len(tail) > protocol.HEADER_LIMIT_BYTES - _FIXED:
            code, flags, tail, body = too_large_reply(request, len(body), self._body_limit)
        for stream in self._streams:
            if stream.has_partial_line:
                stream.finish()
        self.send(protocol.REPLY, flags, code, 0, request._id, tail, body)
        self._active.pop(request._id, None)
        if self._draining:
            self._exit_if_drained()

    # Host calls.

    def call(self, request: Request, described: Dict[str, Any], body: bytes, is_json: bool, convert: Convert) -> Any:
        """Asks the platform for something and gives its answer; something to be awaited if the service is `async def`."""
        if request.cancelled:
            raise Cancelled()
        if self._active.get(request._id) is not request:
            raise RuntimeError("the call that this belongs to is over")
        tail = payloads.dumps(described)
        if len(tail) > protocol.HEADER_LIMIT_BYTES - _FIXED:
            raise ValueError(f"what is asked for takes {len(tail)} bytes; the limit is {protocol.HEADER_LIMIT_BYTES - _FIXED}")
        if len(body) > self._body_limit:
            raise ValueError(f"the payload has {len(body)} bytes; the limit is {self._body_limit}")
        call = next(self._calls) & 0xFFFFFFFF
        flags = FLAG_JSON if is_json else 0
        if request._task is not None:
            return self._aio.call(request, call, flags, tail, body, convert)
        waiter = Waiter()
        self._waiters[call] = waiter
        request._waiting = waiter
        try:
            if request.cancelled:
                raise Cancelled()
            self.send(protocol.HOST_CALL, flags, 0, call, request._id, tail, body)
            self._await(waiter, request)
        finally:
            request._waiting = None
            self._waiters.pop(call, None)
        if waiter.answer is None:
            raise Cancelled()
        return convert(waiter.answer)

    def _await(self, waiter: Waiter, request: Request) -> None:
        """Waits for the answer of a host call. The leader reads on meanwhile, until there is something else to run."""
        me: Thread = request._thread
        if me.ident != threading.get_ident():
            # A thread of the service's own.
            waiter.lock.acquire()
            return
        with self._mutex:
            leads = self._leader is me
            if leads:
                # The monitor must not make another thread read while this one does.
                self._busy = None
        if not leads:
            waiter.lock.acquire()
            return
        while not waiter.is_over:
            if self._pending and not self._has_frame() and self._hand_over():
                waiter.lock.acquire()
                return
            other = self._read()
            if other is None:
                continue
            if other._entry.is_async:
                self._aio.start(other)
            else:
                self._pending.append(other)
        with self._mutex:
            self._busy = request

    def _hand_over(self) -> bool:
        """Makes another thread the leader if there is one."""
        with self._mutex:
            follower = self._follower()
            if follower is None:
                return False
            self._promote(follower)
            return True

    def as_declared(self, name: str, result: Any) -> Any:
        """The answer of an invoked service as the model that it declares, if it declares one."""
        output = self._outputs.get(name)
        if output is None or not isinstance(result, (dict, list)):
            return result
        try:
            return [output.read(item) for item in result] if output.wants_object and isinstance(result, list) else output.read(result)
        except ValueError:
            return result


def run_hook(hook: Any, instance: Any) -> None:
    """Runs before_handle or after_handle; what it raises is logged only."""
    try:
        hook(instance)
    except Exception:
        instance.logger.exception("%s raised an exception", hook.__name__)
