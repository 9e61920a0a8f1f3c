"""A service as its worker runs it: what is known of its class before the first call."""

import sys
from typing import Any, Callable, Dict, Optional, Tuple

from . import payloads
from .context import Request
from .declare import Declaration, declarations
from .errors import MethodNotAllowed
from .hooks import around, hooked
from .lazy import UNSET
from .protocol import FLAG_JSON, FLAG_STREAM
from .response import Payload, Response
from .service import Service
from .streams import is_stream

VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
NO_PARAMS = b'"merged_params":{}'
ASYNC_FLAGS = 0x80 | 0x200
"""CO_COROUTINE and CO_ASYNC_GENERATOR of a code object."""

Reply = Tuple[int, int, bytes, Any]
"""Code, flags, tail, body; with FLAG_STREAM, what gives its pieces is in place of the body."""


def is_coroutine_function(function: Any) -> bool:
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return bool(code is not None and code.co_flags & ASYNC_FLAGS)


def has_handler(cls: type) -> bool:
    """Whether a class answers calls, or is only a base of classes that do."""
    if getattr(cls, "handle", None) is not Service.handle:
        return True
    return any(hasattr(cls, f"handle_{verb}") for verb in VERBS)


class Entry:
    """A service as its worker runs it."""

    def __init__(self, cls: type, name: str, file: str) -> None:
        self.cls = cls
        self.name = name
        self.file = file
        self.index = -1
        handle = getattr(cls, "handle", None)
        self._handle = handle if handle is not Service.handle else None
        verbs = {verb: getattr(cls, f"handle_{verb}") for verb in VERBS if hasattr(cls, f"handle_{verb}")}
        if "GET" in verbs:
            verbs.setdefault("HEAD", verbs["GET"])
        self._verbs: Optional[Dict[str, Any]] = verbs or None
        handlers = [*verbs.values(), *([self._handle] if self._handle else [])]
        self.is_async = any(is_coroutine_function(each) for each in handlers)
        self.blocking = bool(getattr(cls, "blocking", False))
        self.streams = bool(getattr(cls, "streams", False))
        self.input, self.output = declarations(cls)
        if hooked(cls):
            self._handle = around(cls, self._handle) if self._handle else None
            self._verbs = {verb: around(cls, verbs[verb]) for verb in verbs} or None
        # What the leader learns of it: see leader.py.
        self.runs = 0
        self.takeovers = 0
        self.slow_until = 0.0
        self.slow_seconds = 0.0

    def begin(self, request: Request) -> Tuple[Any, Callable[[Any], Any]]:
        """The instance that answers a call, and its handler."""
        handler = self._handle
        if self._verbs is not None:
            handler = self._handler_for(request)
        instance = self.cls()
        instance.request = request
        instance.response = Response()
        if self.input is not None:
            if self.input.wants_service:
                request._service = instance
            request._input = self.input.read(self._data(request))
            if self.input.wants_service:
                # The two would hold each other until the garbage collector comes.
                request._service = None
        return instance, handler  # type: ignore[return-value]

    def instance(self, request: Request) -> Any:
        """An instance of the service in a call, before its input is read."""
        instance = self.cls()
        instance.request = request
        instance.response = Response()
        return instance

    def _handler_for(self, request: Request) -> Any:
        verbs = self._verbs or {}
        method = request.metadata.get("method")
        if method is None:
            # No HTTP behind this call: handle() if there is one, or the only method there is.
            if self._handle is not None:
                return self._handle
            wanted = [verb for verb in verbs if verb != "HEAD"]
            if len(wanted) == 1:
                return verbs[wanted[0]]
        elif method in verbs:
            return verbs[method]
        allow = ", ".join(verb for verb in VERBS if verb in verbs)
        message = f"The service has no handler for {method}" if method else "The service is to be called with an HTTP method"
        raise MethodNotAllowed(request.cid, message, allow=allow)

    def _data(self, request: Request) -> Any:
        """The payload together with the channel's parameters."""
        payload = request.payload_for_input()
        # Where the server says that there are no parameters, the metadata need not be parsed. Within a JSON text the quotes
        # would be escaped, so no value can look like this.
        tail = request._tail
        params = request.channel_params if tail and NO_PARAMS not in tail else None
        if params:
            if payload is None:
                return params
            if isinstance(payload, dict):
                return request.merge(payload, params)
        return {} if payload is None else payload

    def finish(self, instance: Any, returned: Any) -> Reply:
        """The reply that an instance leaves behind."""
        response = instance.response
        payload = response._payload
        if payload is UNSET:
            payload = returned
        elif not payload and type(payload) is Payload and payload.rows() is not None:
            payload = payload.rows()
        output = self.output
        if output is not None and payload is not None and not isinstance(payload, (str, bytes)) and not is_stream(payload):
            payload = _as_declared(output, response.status_code, payload)
        kind = type(payload)
        content_type = response.content_type
        flags = 0
        if kind is dict or kind is list:
            body = payloads.dumps(payload)
            flags = FLAG_JSON
        elif payload is None or (kind is Payload and not payload):
            body = b""
        elif isinstance(payload, str):
            body = payload.encode()
            if not content_type:
                if body and _is_json_text(instance, payload):
                    flags = FLAG_JSON
                elif body:
                    content_type = "text/plain; charset=utf-8"
        elif isinstance(payload, (bytes, bytearray, memoryview)):
            body = bytes(payload)
            content_type = content_type or ("application/octet-stream" if body else None)
        elif is_stream(payload):
            body = payload
            flags = FLAG_STREAM
            content_type = content_type or "application/octet-stream"
        else:
            body = payloads.dumps(payload)
            flags = FLAG_JSON
        status = response.status_code
        code = 0 if status == 200 else _status(status)
        tail = b""
        if content_type or response._headers or response.content_encoding:
            tail = _reply_tail(response, content_type)
        return code, flags, tail, body

    def describe(self) -> Dict[str, Any]:
        """What hello says of the service."""
        doc = self.cls.__doc__ if self.cls.__doc__ != Service.__doc__ else None
        timeout = getattr(self.cls, "timeout_seconds", None)
        return {
            "name": self.name,
            "file": self.file,
            "class": self.cls.__qualname__,
            "doc": _clean(doc or ""),
            "is_async": self.is_async,
            "idempotent": bool(getattr(self.cls, "idempotent", False)),
            "timeout_ms": None if timeout is None else max(1, int(timeout * 1000)),
            "http_methods": None if self._verbs is None else [verb for verb in VERBS if verb in self._verbs],
            "streams": self.streams,
            "input": self.input.schema() if self.input is not None else None,
            "output": self.output.schema() if self.output is not None else None,
        }


def _as_declared(output: Declaration, status: Any, payload: Any) -> Any:
    """The payload as the service declares its output; what goes with a status of an error may be something else."""
    if status != 200 and _status(status) >= 400 and not output.speaks_of(payload):
        return payload
    written = output.write(payload)
    return {output.wrapper: written} if output.wrapper else written


def _is_json_text(instance: Any, text: str) -> bool:
    """Whether a text answers a JSON channel with what is JSON already. To another service a text is a text."""
    if text.lstrip()[:1] not in ("{", "[", '"'):
        return False
    metadata = instance.request.metadata
    return metadata.get("data_format") == "json" and "method" in metadata


def _status(status: Any) -> int:
    code = int(status)
    if not 200 <= code <= 599:
        raise ValueError(f"{status!r} is no HTTP status")
    return code


def _reply_tail(response: Response, content_type: Optional[str]) -> bytes:
    tail: Dict[str, Any] = {}
    if content_type:
        tail["content_type"] = content_type
    headers: Dict[str, Any] = {}
    for name, value in (response._headers or {}).items():
        headers[str(name)] = [str(each) for each in value] if isinstance(value, (list, tuple)) else str(value)
    if response.content_encoding:
        headers["Content-Encoding"] = response.content_encoding
    if headers:
        tail["headers"] = headers
    return payloads.dumps(tail)


def _clean(doc: str) -> str:
    """A docstring without its indentation."""
    lines = doc.expandtabs().strip().splitlines()
    indents = [len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()]
    margin = min(indents, default=sys.maxsize)
    return "\n".join([*lines[:1], *(line[margin:].rstrip() for line in lines[1:])])
