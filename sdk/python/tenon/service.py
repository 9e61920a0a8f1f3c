"""The base class of services."""

from typing import TYPE_CHECKING, Any, ClassVar, Dict, Optional, Type, Union

from . import invoking
from .context import Channel, Request, Response
from .lazy import lazy
from .outgoing import Outgoing, RestConnections

if TYPE_CHECKING:
    from logging import Logger

    from .times import Time


class Service:
    """A service: `handle` answers calls, `handle_GET`, `handle_POST` and so on answer those of one HTTP method.

    An instance lives for one call. Class attributes are shared by all calls in the worker.
    """

    name: ClassVar[str]
    """The service's name; the module's and the class's own if not given: `GetUser` in `my_api.py` is `my-api.get-user`."""
    impl_name: ClassVar[str] = ""
    """The module and the class, `my_api.GetUser`."""
    input: Any = None
    """What the service accepts: names, elements or a Model."""
    output: Any = None
    """What the service answers: names, elements or a Model."""
    blocking: ClassVar[bool] = False
    """True if the service is known to wait for something long, so that it is given a thread of its own at once."""
    idempotent: ClassVar[bool] = False
    """True if a call may be repeated when a worker dies in it."""
    timeout_seconds: ClassVar[Optional[float]] = None
    """How long a call may take at most; None for as long as its caller waits."""
    streams: ClassVar[bool] = False
    """True if the service reads its input piece by piece, as `self.request.stream`, so that it may be of any size."""
    logger: "ClassVar[Logger]"
    """Writes to the server's log, with the correlation id of the call."""

    request: Request
    """What the service was called with."""
    response: Response
    """What the service answers."""

    def handle(self) -> Any:
        """Answers a call. What it sets as `self.response.payload`, or returns, is the answer."""
        raise NotImplementedError(f"{type(self).__name__} has no handle()")

    def before_handle(self) -> Any:
        """Called before `handle`; exceptions are logged only."""

    def after_handle(self) -> Any:
        """Called after `handle`, if that raised nothing; exceptions are logged only."""

    @property
    def cid(self) -> str:
        """The correlation id: names this call and everything it causes."""
        return self.request.cid

    def invoke(self, service: Union[str, Type["Service"]], payload: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Invokes another service and gives its answer; named arguments become the payload.

        In an `async def` service it is awaited: `await self.invoke(…)`.
        """
        return invoking.invoke(self.request, service, payload, kwargs)

    @lazy
    def out(self) -> Outgoing:
        """Outgoing connections: `self.out.rest['CRM'].conn.get(self.cid)`, `self.out.sql['Billing'].all('SELECT …')`."""
        return Outgoing(self.request)

    @property
    def outgoing(self) -> Outgoing:
        """The same as `out`."""
        return self.out

    @lazy
    def rest(self) -> RestConnections:
        """Outgoing REST connections without ceremony: `self.rest['CRM'].get()`."""
        return RestConnections(self.request)

    @lazy
    def time(self) -> "Time":
        """The current time, in the forms that services need."""
        from .times import Time

        return Time()

    @lazy
    def channel(self) -> Channel:
        """What the call came through."""
        return Channel(self.request.metadata)

    @property
    def chan(self) -> Channel:
        """The same as `channel`."""
        return self.channel

    @lazy
    def wsgi_environ(self) -> Dict[str, Any]:
        """The HTTP request in the form that WSGI gives it."""
        http = self.request.http
        environ: Dict[str, Any] = {
            "REQUEST_METHOD": http.method,
            "PATH_INFO": http.path,
            "REMOTE_ADDR": http.remote,
            "zato.http.remote_addr": http.remote,
            "zato.http.raw_request": self.request._body,
            "zato.http.GET": http.GET,
            "zato.http.POST": http.POST,
            "zato.http.path_params": self.request.metadata.get("params") or {},
        }
        for name, value in http.headers.items():
            key = name.upper().replace("-", "_")
            environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
        return environ

    @lazy
    def environ(self) -> Dict[str, Any]:
        """A place for values of this call."""
        return {}

    @property
    def data_format(self) -> str:
        """The channel's data format."""
        return self.request.data_format

    @property
    def transport(self) -> str:
        """`plain_http` if the call came over HTTP, otherwise empty."""
        return self.request.transport

    def sleep(self, seconds: float = 1) -> Optional[Any]:
        """Waits; in an `async def` service it is awaited."""
        if self.request._task is not None:
            import asyncio

            return asyncio.sleep(seconds)
        import time

        time.sleep(seconds)
        return None
