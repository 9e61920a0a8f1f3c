"""Reads frames and runs services: one thread leads, the others follow.

The leader reads the socket and runs synchronous handlers itself, so that a short call costs no hand-over between threads.
If a handler takes long, the monitor makes another thread the leader, and the old one ends its handler and parks.
If all threads are busy, a spare one leads: it runs nothing, but goes on reading, so that cancels, pings and answers to host
calls are never late. A service that is taken over often is given a thread of its own from the start, for a while.
Which thread leads when, turns.py says.
"""

import itertools
import os
import socket
import sys
import threading
from typing import Any, Dict, List, Optional, Tuple

from . import payloads, protocol
from .connection import Connection
from .context import Request
from .current import CURRENT
from .declare import Typed
from .entry import Entry, Reply
from .errors import Cancelled, ServiceMissing
from .host import Convert, HostReturn
from .monitor import Monitor
from .protocol import FLAG_JSON, FLAG_STREAM
from .replies import error_reply, refusal, status_reply, too_large_reply
from .streams import Expect, Head, InputStream, OutputStream, close, parts_of, pieces_of
from .threads import Thread, Waiter
from .turns import Turns

EXIT_BUG = 70

_TAIL_LIMIT = protocol.HEADER_LIMIT_BYTES - protocol.FIXED_HEADER_SIZE_BYTES


class Runtime:
    """A worker's socket, threads and running requests."""

    def __init__(self, sock: socket.socket, thread_limit: int, body_limit_bytes: int = protocol.BODY_LIMIT_BYTES) -> None:
        self._connection = Connection(sock, body_limit_bytes)
        self.send = self._connection.send
        self._body_limit = body_limit_bytes
        self._entries: List[Entry] = []
        self._outputs: Dict[str, Typed] = {}
        # The body of the last Config frame, and what config.py makes of it when a service first asks.
        self.configuration: List[Any] = [b"", None]
        self.turns = Turns(self._run_thread, thread_limit, self._connection)
        self._active: Dict[int, Request] = {}
        self._waiters: Dict[int, Any] = {}
        self._calls = itertools.count(1)
        self._draining = False
        self._monitor: Optional[Monitor] = None
        self._aio: Any = None
        self._sink: Any = None
        self._streams: Tuple[Any, ...] = ()

    # Beginning and end.

    def serve(self, entries: List[Entry], hello: bytes, sink: Any) -> None:
        """Says hello and runs what is asked for; the calling thread leads first. Does not come back."""
        self._entries = entries
        self._outputs = {entry.name: entry.output for entry in entries if isinstance(entry.output, Typed)}
        self._sink = sink
        self._streams = tuple(each for each in (sys.stdout, sys.stderr) if hasattr(each, "partial_lines"))
        if any(entry.is_async for entry in entries):
            from .aio import Loop

            self._aio = Loop(self)
        self.send(protocol.HELLO, FLAG_JSON, body=hello)
        self._monitor = Monitor(self, sink)
        self._monitor.start()
        self._run_thread(self.turns.start())

    def exit(self, code: int) -> None:
        """Ends the process, whichever thread asks for it."""
        try:
            self._connection.flush()
            if self._sink is not None and code == 0:
                self._sink.report(at_once=True)
        finally:
            os._exit(code)

    def wake_monitor(self) -> None:
        """Makes the monitor look at what is going on."""
        if self._monitor is not None:
            self._monitor.wake()

    def flush(self) -> None:
        """Sends what is queued."""
        self._connection.flush()

    def log(self, fields: Dict[str, Any]) -> None:
        """Sends a log line."""
        try:
            body = payloads.dumps(fields)
        except ValueError:
            body = payloads.dumps({name: str(value).encode("utf-8", "backslashreplace").decode() for name, value in fields.items()})
        self.send(protocol.LOG, FLAG_JSON, body=body)

    def metric(self, fields: Dict[str, Any]) -> None:
        """Sends a value of a metric."""
        self.send(protocol.METRIC, FLAG_JSON, body=payloads.dumps(fields))

    # What there is in this worker.

    def has_service(self, name: str) -> bool:
        """Whether this worker has a service."""
        return any(entry.name == name for entry in self._entries)

    def service_of_class(self, impl_name: str) -> Optional[str]:
        """The name of the service of a module and class, if this worker has it."""
        return next((entry.name for entry in self._entries if entry.cls.__dict__.get("impl_name") == impl_name), None)

    # Reading.

    def _read(self) -> Optional[Request]:
        """Reads a frame and acts on it; gives the request if it is one."""
        kind, flags, code, call, id, tail, body = self._connection.receive()
        if kind == protocol.REQUEST:
            return self._accept(code, id, flags, tail, body)
        self._control(kind, flags, code, call, id, tail, body)
        return None

    def _accept(self, code: int, id: int, flags: int, tail: bytes, body: bytes) -> Optional[Request]:
        if code >= len(self._entries):
            status, reply_flags, reply_tail, reply_body = status_reply(404, f"the worker has no service {code}", "")
            self.send(protocol.REPLY, reply_flags, status, 0, id, reply_tail, reply_body)
            return None
        request = Request(self, self._entries[code], id, flags, tail, body)
        if self._draining:
            self.reply(request, status_reply(503, "the worker is draining", request.cid))
            return None
        if flags & FLAG_STREAM:
            request._stream = InputStream(self, request, body, False)
        self._active[id] = request
        return request

    def _control(self, kind: int, flags: int, code: int, call: int, id: int, tail: bytes, body: bytes) -> None:
        if kind == protocol.HOST_RETURN:
            waiter = self._waiters.pop(call, None)
            if waiter is not None:
                self.turns.deliver(waiter, HostReturn(code, flags, tail, body))
        elif kind == protocol.CANCEL:
            request = self._active.get(id)
            if request is not None:
                self._cancel(request)
        elif kind == protocol.CHUNK:
            request = self._active.get(id)
            if request is not None and request._stream is not None:
                request._stream.deliver(flags, code, body)
        elif kind == protocol.CREDIT:
            request = self._active.get(id)
            if request is not None and request._output is not None:
                request._output.grant(call)
        elif kind == protocol.PING:
            self.send(protocol.PING, flags, code, call, id, tail, body)
        elif kind == protocol.CONFIG:
            self.configuration = [body, None]
        elif kind == protocol.DRAIN:
            self._draining = True
            self._exit_if_drained()
        # Kinds that a later version of the protocol may add are not for this worker.

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
        turns = self.turns
        try:
            while True:
                me.lock.acquire()
                turns.processor.let_go(me)
                leads, me.leads = me.leads, False
                request, me.job = me.job, None
                if leads and self._lead(me):
                    continue
                if request is None:
                    request = turns.next_or_park(me)
                while request is not None:
                    self.execute(request, me)
                    # It may have waited within the handler, and got the lead.
                    if turns.end(me) and self._lead(me):
                        break
                    request = turns.next_or_park(me)
        except BaseException:
            self._die()

    def _lead(self, me: Thread) -> bool:
        """Reads and runs until another thread leads; whether this one is parked then."""
        if me.is_spare:
            while not self._queue_as_spare(self._read()):
                pass
            return True
        turns = self.turns
        pending = turns.pending
        answered = turns.answered
        monitor = self._monitor
        assert monitor is not None
        has_run = False
        while True:
            # What is pending needs no other thread, so whoever has just got the lead begins with that.
            if answered and (has_run or not pending) and turns.pass_on(me):
                return True
            request = turns.oldest_pending() if pending else self._read()
            if request is None:
                continue
            entry = request._entry
            if entry.is_async:
                self._aio.start(request)
                continue
            if (entry.blocking or entry.slow_until) and turns.give_away(request):
                continue
            entry.runs += 1
            # From here on the monitor may make another thread the leader.
            turns.begin(request)
            if monitor.sleeps:
                monitor.wake()
            self.execute(request, me)
            has_run = True
            if not turns.end(me):
                return False

    def _queue_as_spare(self, request: Optional[Request]) -> bool:
        """The spare leader's part: queues a request and, if a thread is free by now, lets that one lead."""
        if request is None:
            return False
        if request._entry.is_async:
            self._aio.start(request)
            return False
        return self.turns.hand_over_as_spare(request)

    def _die(self) -> None:
        """An error of this module: the server starts another worker, and the reason is on the real standard error."""
        import traceback

        stream = sys.__stderr__
        if stream is not None:
            stream.write("tenon worker: " + traceback.format_exc())
            stream.flush()
        os._exit(EXIT_BUG)

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
                reply = entry.finish(instance, handler(instance))
        except BaseException as error:
            reply = error_reply(request, error)
        self.reply(request, reply)

    def reply(self, request: Request, reply: Reply) -> None:
        """Sends the reply of a request."""
        code, flags, tail, body = reply
        if flags & FLAG_STREAM:
            self._reply_in_pieces(request, code, flags, tail, body)
            return
        if len(body) > self._body_limit or len(tail) > _TAIL_LIMIT:
            code, flags, tail, body = too_large_reply(request, len(body), self._body_limit)
        for stream in self._streams:
            if stream.partial_lines:
                stream.finish()
        if self.turns.is_short(request):
            self._connection.queue(request._entry, protocol.REPLY, flags, code, 0, request._id, tail, body)
        else:
            self.send(protocol.REPLY, flags, code, 0, request._id, tail, body)
        self.forget(request)

    def forget(self, request: Request) -> None:
        """Notes that a request is over."""
        self._active.pop(request._id, None)
        if self._draining:
            self._exit_if_drained()

    def _reply_in_pieces(self, request: Request, code: int, flags: int, tail: bytes, value: Any) -> None:
        """Sends an answer piece by piece, as fast as its reader takes it. Until the first piece an exception is answered as usual."""
        output = OutputStream(self.send, request, Head(code, flags, tail))
        try:
            for piece in pieces_of(value):
                for part in parts_of(piece):
                    if request.cancelled:
                        raise Cancelled()
                    while not output.try_send(part):
                        self.wait(request, output.expect)
            failure = None
        except BaseException as error:
            failure = error
        failure = close(value) or failure
        self.end_in_pieces(request, output, failure)

    def end_in_pieces(self, request: Request, output: OutputStream, failure: Optional[BaseException]) -> None:
        """Sends the end of an answer that was sent piece by piece."""
        if failure is not None and not output.has_begun:
            self.reply(request, error_reply(request, failure))
            return
        output.end(failure)
        self.forget(request)

    # Waiting.

    def wait(self, request: Request, expect: Expect) -> None:
        """Waits until a waiter is delivered to, unless what is expected is there already."""
        if request._task is not None:
            raise TypeError("in an async def service it is to be awaited, or iterated over with async for")
        waiter = Waiter(request if request._thread.ident == threading.get_ident() else None)
        request._waiting = waiter
        try:
            if request.cancelled:
                raise Cancelled()
            if expect(waiter):
                self._await(waiter, request)
        finally:
            request._waiting = None
        if waiter.cancelled:
            raise Cancelled()

    async def wait_async(self, expect: Expect) -> None:
        """The same for a task."""
        await self._aio.wait(expect)

    # Host calls.

    def call(self, request: Request, described: Dict[str, Any], body: bytes, is_json: bool, convert: Convert) -> Any:
        """Asks the platform for something and gives its answer; something to be awaited if the service is `async def`."""
        if request.cancelled:
            raise Cancelled()
        if self._active.get(request._id) is not request:
            raise RuntimeError("the call that this belongs to is over")
        tail = payloads.dumps(described)
        if len(tail) > _TAIL_LIMIT:
            raise ValueError(f"what is asked for takes {len(tail)} bytes; the limit is {_TAIL_LIMIT}")
        if len(body) > self._body_limit:
            raise ValueError(f"the payload has {len(body)} bytes; the limit is {self._body_limit}")
        call = next(self._calls) & 0xFFFFFFFF
        flags = FLAG_JSON if is_json else 0
        if request._task is not None:
            return self._aio.call(request, call, flags, tail, body, convert)
        is_own_thread = request._thread.ident == threading.get_ident()
        waiter = Waiter(request if is_own_thread else None)
        self._waiters[call] = waiter
        request._waiting = waiter
        try:
            if request.cancelled:
                raise Cancelled()
            if is_own_thread and self.turns.is_short(request):
                self._connection.queue(request._entry, protocol.HOST_CALL, flags, 0, call, request._id, tail, body)
            else:
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
        if waiter.request is None:
            # A thread of the service's own.
            waiter.lock.acquire()
            return
        turns = self.turns
        if turns.end(request._thread) and self._read_until_over(waiter):
            turns.begin(request)
        else:
            waiter.lock.acquire()
            turns.processor.let_go(request._thread)
        # It may have fallen asleep meanwhile, and what follows may block.
        self.wake_monitor()

    def _read_until_over(self, waiter: Waiter) -> bool:
        """The leader's part of waiting: reads until what it waits for is there; False if another thread leads before that."""
        turns = self.turns
        while not waiter.is_over:
            if (turns.answered or turns.pending) and not self._connection.has_frame() and (turns.pass_on(None) or turns.hand_over()):
                return False
            other = self._read()
            if other is None:
                continue
            if other._entry.is_async:
                self._aio.start(other)
            else:
                turns.pending.append(other)
        return True

    def new_instance(self, request: Request, name: str) -> Any:
        """An instance of a service of this worker, in the call that a request is."""
        for entry in self._entries:
            if entry.name == name:
                return entry.instance(request)
        raise ServiceMissing(f"this worker has no service that is called '{name}'", 404, "NotFound")

    def as_declared(self, name: str, result: Any) -> Any:
        """The answer of an invoked service as the model that it declares, if it declares one."""
        output = self._outputs.get(name)
        if output is None or not isinstance(result, (dict, list)):
            return result
        try:
            return [output.read(item) for item in result] if output.wants_object and isinstance(result, list) else output.read(result)
        except ValueError:
            return result
