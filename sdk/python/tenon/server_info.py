"""The server that a service runs in, and the others of its cluster."""

import os
from typing import Any, Dict, Iterator, List, Optional

from . import payloads
from .bunch import Bunch
from .host import HostReturn, call, json_body_of, milliseconds
from .invoking import invoke, invoke_with, payload_of, raise_for, service_name

_USER_CONTEXT: Dict[str, Any] = {}


class ServerAnswer:
    """What a service answered on one server."""

    def __init__(self, server: str, is_ok: bool, data: Any, error: str) -> None:
        self.server = server
        self.is_ok = is_ok
        self.data = data
        self.error_info = self.error = error

    def __bool__(self) -> bool:
        return self.is_ok

    def __repr__(self) -> str:
        return f"<ServerAnswer {self.server} {self.data if self.is_ok else self.error!r}>"


class Answers:
    """What a service answered on every server: `is_ok` if it did on all of them, `data` the answers, also by the server's name."""

    def __init__(self, answers: List[ServerAnswer]) -> None:
        self.data = answers
        self.is_ok = all(answer.is_ok for answer in answers)

    def __getitem__(self, server: str) -> ServerAnswer:
        for answer in self.data:
            if answer.server == server:
                return answer
        raise KeyError(server)

    def __iter__(self) -> Iterator[ServerAnswer]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __bool__(self) -> bool:
        return self.is_ok


class OneServer:
    """Another server of the cluster, or this one."""

    def __init__(self, service: Any, name: str) -> None:
        self._service = service
        self.name = name

    def invoke(self, service: Any, payload: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Invokes a service on this server and gives its answer."""
        options = _taken(kwargs)
        tail = {"op": "invoke", "service": service_name(service), "server": self.name}
        return invoke_with(self._service.request, tail, payload_of(payload, kwargs), options)


class Rpc:
    """`self.server.rpc`: services on a server of one's choice, or on all."""

    __contains__ = __iter__ = None

    def __init__(self, service: Any) -> None:
        self._service = service

    def __getitem__(self, server: str) -> OneServer:
        return OneServer(self._service, server)

    def invoke_all(self, service: Any, payload: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Invokes a service on every server of the cluster, and gives what each answered."""
        options = _taken(kwargs)
        tail: Dict[str, Any] = {"op": "invoke-all", "service": service_name(service)}
        if options.get("timeout"):
            tail["timeout_ms"] = milliseconds(options["timeout"], "timeout")
        body, is_json = json_body_of(payload_of(payload, kwargs))
        return call(self._service.request, tail, _answers, body, is_json)


def _taken(kwargs: Dict[str, Any]) -> Dict[str, Any]:
    return {name: kwargs.pop(name) for name in ("timeout", "raise_timeout", "as_bunch", "serialize") if name in kwargs}


def _answers(answer: HostReturn) -> Answers:
    raise_for(answer)
    found = payloads.loads(str(answer.body, "utf-8")) if answer.body else {}
    return Answers(
        [ServerAnswer(server, bool(one.get("is_ok")), one.get("data"), str(one.get("error") or "")) for server, one in sorted((found or {}).items())]
    )


class Server:
    """`self.server`: the server that the service runs in."""

    def __init__(self, service: Any) -> None:
        self._service = service

    @property
    def name(self) -> str:
        """The server's name, such as `server1`."""
        return os.environ.get("TENON_SERVER", "")

    @property
    def cluster_name(self) -> str:
        """The cluster's name."""
        return os.environ.get("TENON_CLUSTER", "")

    cluster_id = cluster_name
    """The same: clusters are told apart by their names."""

    @property
    def pid(self) -> int:
        """The process that the service runs in."""
        return os.getpid()

    @property
    def user_ctx(self) -> Dict[str, Any]:
        """A dict that the services of one worker process share. Each process has its own, and it ends with the process."""
        return _USER_CONTEXT

    @property
    def user_config(self) -> Bunch:
        """The user configuration, which is `self.config` too."""
        config: Bunch = self._service.config
        return config

    @property
    def rpc(self) -> Rpc:
        """Services on a server of one's choice: `self.server.rpc['server2'].invoke('my.service')`."""
        return Rpc(self._service)

    def invoke(self, service: Any, payload: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Invokes a service, as `self.invoke` does."""
        return invoke(self._service.request, service, payload, kwargs)

    def invoke_async(self, service: Any, payload: Any = "", **kwargs: Any) -> Any:
        """Invokes a service in the background, as `self.invoke_async` does."""
        return self._service.invoke_async(service, payload, **kwargs)

    def encrypt(self, data: Any, prefix: Optional[str] = None) -> Any:
        """Encrypts with the cluster's key, as `self.crypto.encrypt` does."""
        return self._service.crypto.encrypt(data)

    def decrypt(self, data: Any) -> Any:
        """Decrypts with the cluster's key, as `self.crypto.decrypt` does."""
        return self._service.crypto.decrypt(data)
