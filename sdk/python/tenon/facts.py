"""What a service may ask about the call that it answers, and small things that it may do; worked out when asked for."""

from typing import TYPE_CHECKING, Any, Callable, ClassVar, Dict, Optional, Union

from .lazy import lazy, replaceable

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from logging import Logger

    from .bunch import Bunch
    from .context import Request
    from .response import Response
    from .spawning import Spawned

_MASK = "******"


class Kvdb:
    """What older service files call the cache."""

    def __init__(self, conn: Any) -> None:
        self.conn = conn
        """The cache."""


class NotHere:
    """What service files may ask for and what is not there; docs/zato-api.md says what there is instead."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        raise AttributeError(f"there is no self.{self._name} in Tenon; docs/zato-api.md says what there is instead")


class CallFacts:
    """Facts of a call."""

    request: "Request"
    response: "Response"
    name: ClassVar[str]
    impl_name: ClassVar[str]
    cache: Any
    logger: "ClassVar[Logger]"
    amqp, email, ftp, ldap, mongodb, odata, odb, publish = (NotHere() for _ in range(8))
    pubsub, rules, sap, security, sftp, soap, static_config, wsx = (NotHere() for _ in range(8))
    slow_threshold = 99_999
    """Not used; service files may read it."""

    @replaceable
    def in_reply_to(self) -> str:
        """The correlation id of the call in the background that this callback is told of; empty in any other service."""
        outcome = self.request.outcome
        return str(outcome.get("cid") or "") if outcome is not None else ""

    @classmethod
    def get_name(cls) -> str:
        """The service's name."""
        return cls.name

    @classmethod
    def get_impl_name(cls) -> str:
        """The module and the class, `my_api.GetUser`."""
        return cls.impl_name

    @lazy
    def invocation_time(self) -> "datetime":
        """When the call began, in UTC without a time zone; for a service without hooks, when it first asked."""
        from .hooks import utc_now

        return utc_now()

    handle_return_time: "Optional[datetime]" = None
    """When the handler ended; there is something in it in hooks only."""

    @replaceable
    def processing_time_raw(self) -> "Optional[timedelta]":
        """How long the handler took; there is something in it in hooks only."""
        return None if self.handle_return_time is None else self.handle_return_time - self.invocation_time

    @replaceable
    def processing_time(self) -> Optional[int]:
        """How long the handler took in milliseconds; there is something in it in hooks only."""
        took = self.processing_time_raw
        return None if took is None else round(took.total_seconds() * 1000)

    @replaceable
    def job_type(self) -> str:
        """`one_time`, `interval_based` or `cron_style` if a job calls, otherwise empty."""
        return str(self.request.metadata.get("job_type") or "")

    @replaceable
    def usage(self) -> int:
        """How often this worker has run the service."""
        return self.request._entry.runs

    @replaceable
    def process_name(self) -> str:
        """The process that runs the service."""
        import os

        return f"{os.environ.get('TENON_SERVER', 'server')}:{os.getpid()}"

    @lazy
    def wsgi_environ(self) -> Dict[str, Any]:
        """The HTTP request in the form that WSGI gives it."""
        from io import BytesIO

        from .bunch import Bunch

        http = self.request.http
        query = http.query_string
        metadata = self.request.metadata
        environ: Dict[str, Any] = {
            "REQUEST_METHOD": http.method,
            "PATH_INFO": http.path,
            "QUERY_STRING": query,
            "RAW_URI": f"{http.path}?{query}" if query else http.path,
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": http.headers.get("x-forwarded-proto", "http"),
            "wsgi.input": BytesIO(self.request._came()),
            "REMOTE_ADDR": http.remote,
            "zato.http.remote_addr": http.remote,
            "zato.http.raw_request": self.request._came(),
            "zato.http.GET": http.GET,
            "zato.http.POST": http.POST,
            "zato.http.path_params": self.request.metadata.get("params") or {},
            "zato.request_ctx.cid": self.request.cid,
            "zato.channel_item": Bunch(name=metadata.get("channel_name", ""), service_name=self.name, data_format=self.request.data_format),
        }
        for name, value in http.headers.items():
            key = name.upper().replace("-", "_")
            environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
        return environ

    @lazy
    def environ(self) -> "Bunch":
        """A place for values of this call, as keys and as attributes."""
        from .bunch import Bunch

        return Bunch()

    @replaceable
    def redis(self) -> Any:
        """The cache of the cluster, with the commands that it has in common with Redis."""
        return self.cache

    @lazy
    def kvdb(self) -> "Kvdb":
        """The cache of the cluster as `self.kvdb.conn`."""
        return Kvdb(self.cache)

    @replaceable
    def data_format(self) -> str:
        """The channel's data format."""
        return self.request.data_format

    @replaceable
    def transport(self) -> str:
        """`plain_http` if the call came over HTTP, otherwise empty."""
        return self.request.transport

    def new_instance(self, service: "Union[str, type]", *args: Any, **kwargs: Any) -> Any:
        """An instance of another service of this worker, in this call, whose handler is not run."""
        from .invoking import service_name

        return self.request._host.new_instance(self.request, service_name(service))

    def spawn(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> "Spawned":
        """Runs a function in a thread of its own; `get()` waits for its result."""
        from .spawning import spawn

        return spawn(function, args, kwargs)

    run_in_thread = spawn

    def log_input(self, user_msg: str = "", level: Union[str, int] = "info", suppress_keys: Any = None) -> None:
        """Writes the input to the log, without secrets; `suppress_keys=["request.payload"]` leaves it out."""
        self._log("input", user_msg, level, self.request._entry.input, self.request.input, "request.payload" in (suppress_keys or ()))

    def log_output(self, user_msg: str = "", level: Union[str, int] = "info", suppress_keys: Any = None) -> None:
        """Writes the answer to the log, without secrets; `suppress_keys=["response.payload"]` leaves it out."""
        self._log("output", user_msg, level, self.request._entry.output, self.response.payload, "response.payload" in (suppress_keys or ()))

    def _log(self, what: str, user_msg: str, level: Union[str, int], declared: Any, data: Any, is_suppressed: bool) -> None:
        from logging import getLevelName

        from .elements import secrets_of

        shown = _MASK if is_suppressed else _without(secrets_of(declared), data.to_dict() if hasattr(data, "to_dict") else data)
        number = level if isinstance(level, int) else getLevelName(level.upper())
        self.logger.log(number if isinstance(number, int) else 20, "%s%s of %s: %s", f"{user_msg} " if user_msg else "", what, self.name, shown)


def _without(secrets: Any, data: Any) -> Any:
    """Data in which the values of secrets are masked."""
    if isinstance(data, dict):
        return {key: _MASK if key in secrets else _without(secrets, value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_without(secrets, item) for item in data]
    return data
