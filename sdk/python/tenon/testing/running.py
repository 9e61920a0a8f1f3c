"""Runs a service in the test's own process, as a worker does."""

import asyncio
import contextvars
import logging
import threading
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple, cast

from .. import payloads, protocol
from ..context import Request
from ..current import CURRENT
from ..declare import Typed
from ..entry import Entry
from ..errors import ServiceMissing, StatusError
from ..host import Convert, HostReturn
from ..http_request import Headers
from ..leader import Runtime
from ..loading import Loader
from ..names import default_name
from ..replies import PROBLEM, error_reply
from ..server_info import Server
from ..streams import InputStream, async_pieces_of, close, close_async, parts_of, pieces_of
from .memory import ok, refused

if TYPE_CHECKING:
    from .platform import Platform


Outcome = Tuple[int, int, bytes, bytes, Optional[BaseException]]
"""Code, flags, tail and body of a reply, and what the service raised."""


class Result:
    """What a service answered, as its caller gets it."""

    def __init__(self, cid: str, status: int, headers: Dict[str, Any], content_type: str, body: bytes, exception: Optional[BaseException]) -> None:
        self.cid = cid
        self.status = status
        """The HTTP status."""
        self.headers = Headers(headers)
        """The headers that the service set, found whatever their case."""
        self.content_type = content_type
        self.body = body
        """The bytes of the answer."""
        self.exception = exception
        """What the service raised, if it raised something."""

    @property
    def is_ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status < 400

    @property
    def payload(self) -> Any:
        """The answer: parsed if it is JSON, otherwise text, or bytes if it is no text; None if it is empty."""
        if not self.body:
            return None
        if self.content_type.partition(";")[0].endswith("json"):
            return payloads.loads(str(self.body, "utf-8"))
        if self.content_type == "application/octet-stream":
            return self.body
        try:
            return str(self.body, "utf-8")
        except UnicodeDecodeError:
            return self.body

    @property
    def text(self) -> str:
        """The answer as text."""
        return str(self.body, "utf-8", "replace")

    @property
    def problem(self) -> Optional[Dict[str, Any]]:
        """The problem that the caller is told of; None if there is none."""
        return self.payload if self.content_type == PROBLEM else None

    def __repr__(self) -> str:
        raised = f" after {self.exception!r}" if self.exception is not None else ""
        return f"<Result {self.status} {self.text[:200]}{raised}>"


class _Entry(Entry):
    """A service whose instances get the clock of the test."""

    def begin(self, request: Request) -> Tuple[Any, Any]:
        instance, handler = super().begin(request)
        request._host.prepare(instance)
        return instance, handler


def entry_of(cls: type) -> Entry:
    """A service class as a worker that found it in a file of its module would have it."""
    own: Any = cls.__dict__.get("name")
    entry = _Entry(cls, own or default_name(cls.__module__, cls.__name__), cls.__module__.replace(".", "/") + ".py")
    Loader._prepare(entry)
    return entry


class _Server(Server):
    """A server of the test."""

    @property
    def name(self) -> str:
        request = self._service.request
        return str(request.metadata.get("server") or request._host._platform.servers[0])

    @property
    def cluster_name(self) -> str:
        return "test"


class Host:
    """What a request sees of the platform."""

    def __init__(self, platform: "Platform") -> None:
        self._platform = platform
        self._entries: List[Entry] = []
        self._outputs: Dict[str, Typed] = {}

    def add(self, entry: Entry) -> None:
        """Adds a service that can be called."""
        self._entries = [each for each in self._entries if each.name != entry.name] + [entry]
        self._outputs = {each.name: each.output for each in self._entries if isinstance(each.output, Typed)}

    def entry(self, name: str) -> Optional[Entry]:
        """A service by its name."""
        return next((each for each in self._entries if each.name == name), None)

    # What the rest of the package asks of a worker.

    def call(self, request: Request, described: Dict[str, Any], body: bytes, is_json: bool, convert: Convert) -> Any:
        """A host call: served at once; something to be awaited in an `async def` service."""
        asked = payloads.loads(str(payloads.dumps(described), "utf-8"))
        if request._task is None:
            return convert(self._platform.serve(request, asked, body, is_json))

        async def ask() -> Any:
            serve = contextvars.copy_context().run
            # In a thread, because what is invoked may be async itself, and because locks wait.
            loop = asyncio.get_running_loop()
            return convert(await loop.run_in_executor(None, serve, self._platform.serve, request, asked, body, is_json))

        return ask()

    def as_declared(self, name: str, result: Any) -> Any:
        """The answer of an invoked service as the model that it declares, if it declares one."""
        return cast(Any, Runtime.as_declared)(self, name, result)

    @property
    def configuration(self) -> List[Any]:
        """The user configuration, as a worker keeps it."""
        return [payloads.dumps({"version": 1, "files": self._platform.config}), None]

    def metric(self, fields: Dict[str, Any]) -> None:
        """Keeps a value of a metric."""
        self._platform.metrics.append(fields)

    def has_service(self, name: str) -> bool:
        """Whether there is a service."""
        return self.entry(name) is not None or name in self._platform.services

    def service_of_class(self, impl_name: str) -> Optional[str]:
        """The name of the service of a module and class."""
        return next((each.name for each in self._entries if getattr(each.cls, "impl_name", "") == impl_name), None)

    def new_instance(self, request: Request, name: str) -> Any:
        """An instance of a service, in the call that a request is."""
        entry = self.entry(name)
        if entry is None:
            raise ServiceMissing(f"there is no service that is called '{name}'", 404, "NotFound")
        return entry.instance(request)

    def prepare(self, instance: Any) -> None:
        """Gives an instance the clock of the test."""
        from ..times import Time

        clock = self._platform.clock
        instance.__dict__["time"] = Time(clock)
        instance.__dict__["server"] = _Server(instance)

        def sleep(seconds: float = 1) -> Any:
            clock.advance(seconds)
            return asyncio.sleep(0) if instance.request._task is not None else None

        instance.__dict__["sleep"] = sleep


def run(
    host: Host, entry: Entry, metadata: Dict[str, Any], body: bytes, is_json: bool, cid: str, pieces: Optional[Sequence[bytes]] = None
) -> Outcome:
    """Runs a service and gives the reply that a worker would send, and what the service raised. `pieces` are a body that comes bit by bit."""
    tail = protocol.encode_request_tail(protocol.RequestTail(0, cid, payloads.dumps(metadata)))
    request = Request(host, entry, host._platform.next_id(), protocol.FLAG_JSON if is_json else 0, tail, body)
    if pieces is not None:
        request._stream = InputStream(host, request, b"", False)
        for piece in pieces:
            request._stream.deliver(0, 0, piece)
        request._stream.deliver(protocol.FLAG_END, 0, b"")
    raised: List[BaseException] = []
    token = CURRENT.set(request)
    try:
        reply = _run_in_loop(request, raised) if entry.is_async else _run_sync(request, raised)
    finally:
        CURRENT.reset(token)
        host._platform.call_ended(request)
    return (*reply, raised[0] if raised else None)


def _run_sync(request: Request, raised: List[BaseException]) -> Any:
    entry = request._entry
    sent = bytearray()
    try:
        instance, handler = entry.begin(request)
        reply = entry.finish(instance, handler(instance))
        if not reply[1] & protocol.FLAG_STREAM:
            return reply
        for piece in pieces_of(reply[3]):
            sent += b"".join(parts_of(piece))
    except BaseException as error:
        answer = _reply_to(request, error, raised)
        if not sent:
            return answer
    _note(close(reply[3]), raised)
    return _whole(reply, sent)


def _run_in_loop(request: Request, raised: List[BaseException]) -> Any:
    replies: List[Any] = []
    context = contextvars.copy_context()
    # A thread of its own, as the test itself may run in a loop.
    thread = threading.Thread(target=lambda: replies.append(context.run(asyncio.run, _run_async(request, raised))))
    thread.start()
    thread.join()
    return replies[0]


async def _run_async(request: Request, raised: List[BaseException]) -> Any:
    entry = request._entry
    request._task = asyncio.current_task()
    request._has_begun = True
    sent = bytearray()
    try:
        instance, handler = entry.begin(request)
        returned = handler(instance)
        reply = entry.finish(instance, await returned if hasattr(returned, "__await__") else returned)
        if not reply[1] & protocol.FLAG_STREAM:
            return reply
        async for piece in async_pieces_of(reply[3]):
            sent += b"".join(parts_of(piece))
    except BaseException as error:
        answer = _reply_to(request, error, raised)
        if not sent:
            return answer
    _note(await close_async(reply[3]), raised)
    return _whole(reply, sent)


def _whole(reply: Any, sent: bytearray) -> Any:
    """The reply of an answer that came in pieces; what was sent before an exception was sent."""
    code, flags, tail, _ = reply
    return code, flags & ~protocol.FLAG_STREAM, tail, bytes(sent)


def _note(error: Optional[BaseException], raised: List[BaseException]) -> None:
    if error is not None:
        raised.append(error)


def _reply_to(request: Request, error: BaseException, raised: List[BaseException]) -> Any:
    raised.append(error)
    if not isinstance(error, StatusError):
        # The server logs it, with the traceback.
        logging.getLogger(request._entry.name).error("the service failed: %r", error, exc_info=error)
    return error_reply(request, error)


def result_of(reply: Outcome, cid: str, data_format: str) -> Result:
    """A reply as the caller of a channel gets it."""
    code, flags, tail, body, exception = reply
    described = payloads.loads(str(tail, "utf-8")) if tail else {}
    if flags & protocol.FLAG_ERROR:
        detail = "the service failed; the log has the details under this cid"
        problem = {"type": "tenon:service-failed", "title": "Internal Server Error", "status": 500, "detail": detail, "cid": cid}
        return Result(cid, 500, {}, PROBLEM, payloads.dumps(problem), exception)
    is_json = flags & protocol.FLAG_JSON or (data_format == "json" and not described.get("content_type"))
    content_type = str(described.get("content_type") or ("application/json" if is_json else "text/plain; charset=utf-8"))
    return Result(cid, code or 200, described.get("headers") or {}, content_type if body else "", body, exception)


def host_return_of(reply: Outcome) -> HostReturn:
    """A reply as a service that invoked the other one gets it."""
    code, flags, tail, body, _ = reply
    if flags & protocol.FLAG_ERROR:
        described = payloads.loads(str(body, "utf-8"))
        return refused(500, "InternalServerError", f"{described.get('type')}: {described.get('message')}")
    described = payloads.loads(str(tail, "utf-8")) if tail else {}
    is_json = bool(flags & protocol.FLAG_JSON)
    return ok({"status": code or 200, "content_type": described.get("content_type"), "is_json": is_json}, body, is_json)
