"""The base class of services."""

from typing import TYPE_CHECKING, Any, ClassVar, Optional, Type, Union

from . import invoking
from .context import Channel, Request
from .facts import CallFacts
from .hooks import Hooks
from .lazy import lazy, replaceable
from .outgoing import Outgoing, RestConnections
from .response import Response

if TYPE_CHECKING:
    from logging import Logger

    from .caches import Caches
    from .commands import Commands
    from .config import Configuration
    from .crypto import Crypto
    from .locks import Locks
    from .metrics import Metrics
    from .patterns import Patterns
    from .schedule import Schedule
    from .server_info import Server
    from .times import Time


class Service(Hooks, CallFacts):
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

    @classmethod
    def before_add_to_store(cls, logger: "Logger") -> bool:
        """Called when the service is deployed; if it gives False, the service is left out."""
        return True

    @classmethod
    def after_add_to_store(cls, logger: "Logger") -> None:
        """Called when the service was deployed; exceptions are logged only."""

    @replaceable
    def cid(self) -> str:
        """The correlation id: names this call and everything it causes."""
        return self.request.cid

    def invoke(self, service: Union[str, Type["Service"]], payload: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Invokes another service and gives its answer; named arguments become the payload.

        In an `async def` service it is awaited: `await self.invoke(…)`.
        """
        return invoking.invoke(self.request, service, payload, kwargs)

    def invoke_async(
        self,
        service: Union[str, Type["Service"]],
        payload: Any = "",
        channel: Any = None,
        data_format: Any = None,
        transport: Any = None,
        expiration: Any = None,
        to_json_string: bool = False,
        cid: str = "",
        callback: Any = None,
        zato_ctx: Any = None,
        environ: Any = None,
        timeout: Optional[float] = None,
    ) -> Any:
        """Has another service invoked in the background and gives the correlation id of that call, once it can't be lost any more.

        `callback` is a service or several, or `self`, which get the answer; without one a service `<name>-async-callback` does if
        there is one in this worker. `timeout` is how many seconds the invoked service may take. The other arguments are those of
        existing service files; a call in the background does not expire.
        """
        options = {
            "callback": callback,
            "cid": cid,
            "to_json_string": to_json_string,
            "context": zato_ctx,
            "timeout": timeout,
            "data_format": data_format,
        }
        return invoking.invoke_async(self, service, None if payload == "" else payload, options)

    def invoke_by_impl_name(self, impl_name: str, payload: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Invokes another service by its module and class, such as `my_api.GetUser`."""
        return invoking.invoke(self.request, invoking.by_impl_name(self.request, impl_name), payload, kwargs)

    @lazy
    def out(self) -> Outgoing:
        """Outgoing connections: `self.out.rest['CRM'].conn.get(self.cid)`, `self.out.sql['Billing'].all('SELECT …')`."""
        return Outgoing(self.request)

    @replaceable
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
    def patterns(self) -> "Patterns":
        """Many services at once, `self.patterns.fanout` and `parallel`, and one again until it answers, `invoke_retry`."""
        from .patterns import Patterns

        return Patterns(self)

    @lazy
    def cache(self) -> "Caches":
        """The cache of the cluster: `self.cache.default['key']`, `self.cache.set('key', value, ex=60)`."""
        from .caches import Caches

        return Caches(self.request)

    @lazy
    def lock(self) -> "Locks":
        """A lock of the cluster: `with self.lock('name', ttl=20, block=10):`."""
        from .locks import Locks

        return Locks(self)

    @lazy
    def schedule(self) -> "Schedule":
        """Has services run later: `self.schedule.onetime(self, 'my.service', after_minutes=5)`."""
        from .schedule import Schedule

        return Schedule(self)

    @lazy
    def config(self) -> "Configuration":
        """User configuration: `self.config.<file>.<section>.<key>`. It stays the same for the whole call."""
        from .config import configuration_of

        return configuration_of(self.request._host)

    @replaceable
    def user_config(self) -> "Configuration":
        """The same as `config`."""
        return self.config

    @lazy
    def crypto(self) -> "Crypto":
        """Encryption with the cluster's key, random secrets, and hashes of passwords."""
        from .crypto import Crypto

        return Crypto(self.request)

    @lazy
    def metrics(self) -> "Metrics":
        """Metrics of one's own: `self.metrics.incr('orders')`, `with self.metrics.timer('import_seconds'):`."""
        from .metrics import Metrics

        return Metrics(self)

    @lazy
    def commands(self) -> "Commands":
        """Commands of the operating system: `self.commands.invoke(['ls', '-l'], timeout=5).stdout`."""
        from .commands import Commands

        return Commands(self)

    @lazy
    def server(self) -> "Server":
        """The server that the service runs in, and the others: `self.server.name`, `self.server.rpc['server2'].invoke('my.service')`."""
        from .server_info import Server

        return Server(self)

    @lazy
    def channel(self) -> Channel:
        """What the call came through."""
        return Channel(self.request.metadata)

    @replaceable
    def chan(self) -> Channel:
        """The same as `channel`."""
        return self.channel

    def sleep(self, timeout: float = 1) -> Optional[Any]:
        """Waits so many seconds, until the call is cancelled at most; in an `async def` service it is awaited."""
        if self.request._task is not None:
            import asyncio

            return asyncio.sleep(timeout)
        from .sleeping import sleep

        sleep(self.request, timeout)
        return None
