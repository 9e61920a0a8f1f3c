"""The platform in memory: what services ask of it, what a test prepares for them, and what is left to look at."""

import itertools
from typing import Any, Callable, Dict, Generic, Iterator, List, Optional, Sequence, Type, TypeVar

from .. import payloads
from ..host import HostReturn
from ..service import Service
from .background import Background
from .clock import Clock
from .crypto import serve_crypto
from .memory import Caches, Locks, ok, refused
from .running import Host, Result, entry_of, host_return_of, result_of, run
from .stubs import RestStub, ServiceStub, SqlStub

T = TypeVar("T")

HTTP_ONLY = ("path", "query", "params", "headers", "remote")


class _ByName(Generic[T]):
    """Stubs by name, each made when it is first asked for."""

    def __init__(self, make: Callable[[str], T]) -> None:
        self._make = make
        self._made: Dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        return self._made.setdefault(name, self._make(name)) if name not in self._made else self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._made

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)


class Platform:
    """Everything that a service can ask for, in memory: prepare it, `run` services, and look at what they did."""

    def __init__(self, *services: Type[Service], now: Any = None) -> None:
        self.clock = Clock(now)
        """The time, which stands still until it is moved."""
        self.config: Dict[str, Dict[str, Dict[str, Any]]] = {}
        """User configuration: `platform.config['limits'] = {'orders': {'max': 5}}`."""
        self.metrics: List[Dict[str, Any]] = []
        """The values of metrics that services sent, in their order."""
        self.rest = _ByName(RestStub)
        """Outgoing REST connections by name."""
        self.sql = _ByName(SqlStub)
        """Outgoing SQL connections by name."""
        self.services = _ByName(ServiceStub)
        """Stubs of other services by name; one that was added as a class is not needed here."""
        self.servers = ["server1"]
        """The servers of the cluster."""
        self.cache = Caches(self.clock)
        self.locks = Locks(self.clock)
        self.background = Background(self)
        """What services left to be done later: calls in the background, and jobs."""
        self._ids = itertools.count(1)
        self._host = Host(self)
        self._failed: List[AssertionError] = []
        self.add(*services)

    def add(self, *services: Type[Service]) -> None:
        """Adds services that other ones can invoke."""
        for service in services:
            self._host.add(entry_of(service))

    def run(
        self,
        service: Any,
        payload: Any = None,
        *,
        method: str = "",
        data_format: str = "json",
        cid: str = "",
        channel: str = "",
        channel_name: str = "test",
        security: Optional[Dict[str, Any]] = None,
        message_wins: bool = False,
        pieces: Optional[Sequence[bytes]] = None,
        **http: Any,
    ) -> Result:
        """Runs a service, given by its class or name, and gives what its caller gets.

        With `method`, or any of `path`, `query`, `params`, `headers` and `remote`, the call comes over a REST channel, otherwise from
        another service. `security` is who the channel let in: `{"name", "type", "username"}`. `pieces`, in place of a payload, is a body that
        comes piece by piece, for `self.request.stream`.
        """
        unknown = [name for name in http if name not in HTTP_ONLY]
        if unknown:
            raise TypeError(f"run() does not know the argument '{unknown[0]}'")
        if not isinstance(service, str):
            self.add(service)
            service = service.name
        metadata: Dict[str, Any] = {"channel": channel or ("rest" if method or http else "invoke"), "channel_name": channel_name}
        if security:
            metadata["security"] = security
        if method or http:
            metadata.update(_http_metadata(method, data_format, http))
        if message_wins:
            metadata["message_wins"] = True
        body, is_json = encoded(payload)
        cid = cid or self.new_cid()
        entry = self._host.entry(service)
        if entry is None:
            raise LookupError(f"there is no service '{service}'; add its class to the platform")
        reply = run(self._host, entry, metadata, body, is_json, cid, pieces)
        self._raise_failed()
        return result_of(reply, cid, data_format if method or http else "")

    def run_background(self) -> List[Any]:
        """Runs what services left to be done in the background, and what that leaves, until nothing is left; gives what was run."""
        return self.background.run()

    def run_due_jobs(self) -> List[Any]:
        """Runs the jobs whose time has come by the clock, and gives them."""
        return self.background.run_due()

    @property
    def jobs(self) -> List[Any]:
        """The jobs that services scheduled and that were not run yet, the next one first."""
        return self.background.jobs

    def metric(self, name: str, **labels: str) -> Optional[float]:
        """What a metric says: the sum of a counter, the last value of a gauge, the sum of a histogram's values; None if there is none."""
        values = [each for each in self.metrics if each["name"] == name and all(each["labels"].get(one) == labels[one] for one in labels)]
        if not values:
            return None
        return float(values[-1]["value"]) if values[-1]["kind"] == "gauge" else float(sum(each["value"] for each in values))

    def new_cid(self) -> str:
        """A correlation id."""
        return f"test-cid-{self.next_id():06}"

    def next_id(self) -> int:
        """A number that nothing else has."""
        return next(self._ids)

    def invoke(self, name: str, body: bytes, is_json: bool, metadata: Dict[str, Any], cid: str) -> HostReturn:
        """Has a service answer another one."""
        if name in self.services:
            return self.services[name].serve(body, is_json)
        entry = self._host.entry(name)
        if entry is None:
            return refused(404, "NotFound", f"no service is called '{name}'")
        return host_return_of(run(self._host, entry, metadata, body, is_json, cid))

    def serve(self, request: Any, asked: Dict[str, Any], body: bytes, is_json: bool) -> HostReturn:
        """Does what a host call asks for."""
        serve = getattr(self, "_serve_" + str(asked.get("op")).replace("-", "_"), None)
        if serve is None:
            return refused(400, "BadRequest", f"there is no operation '{asked.get('op')}'")
        try:
            answer: HostReturn = serve(request, asked, body, is_json)
            return answer
        except AssertionError as error:
            # Of the test, not of the service: the test is to fail even if the service catches it.
            self._failed.append(error)
            raise

    def call_ended(self, call: Any) -> None:
        """Frees what a call held."""
        self.locks.call_ended(call)

    def _raise_failed(self) -> None:
        if self._failed:
            failed = self._failed[0]
            self._failed.clear()
            raise failed

    def _serve_invoke(self, request: Any, asked: Dict[str, Any], body: bytes, is_json: bool) -> HostReturn:
        server = asked.get("server")
        if server and server not in self.servers:
            return refused(404, "NotFound", f"there is no server '{server}'")
        metadata = {"channel": "invoke", "channel_name": request._entry.name, "server": server or request.metadata.get("server")}
        limit, began = asked.get("timeout_ms"), self.clock()
        answer = self.invoke(asked["service"], body, is_json, metadata, request.cid)
        if limit and self.clock() - began > limit / 1000:
            return refused(504, "Timeout", "the service did not answer in time")
        return answer

    def _serve_invoke_all(self, request: Any, asked: Dict[str, Any], body: bytes, is_json: bool) -> HostReturn:
        answers: Dict[str, Any] = {}
        for server in self.servers:
            answer = self._serve_invoke(request, {**asked, "server": server}, body, is_json)
            answers[server] = outcome_of(answer)
        return ok({}, payloads.dumps(answers), True)

    def _serve_invoke_async(self, request: Any, asked: Dict[str, Any], body: bytes, is_json: bool) -> HostReturn:
        return self.background.add_call(request, asked, body, is_json)

    def _serve_retry_async(self, request: Any, asked: Dict[str, Any], body: bytes, is_json: bool) -> HostReturn:
        return self.background.add_call(request, asked, body, is_json)

    def _serve_fan_out(self, request: Any, asked: Dict[str, Any], body: bytes, is_json: bool) -> HostReturn:
        return self.background.add_fan_out(request, asked, body)

    def _serve_schedule_onetime(self, request: Any, asked: Dict[str, Any], body: bytes, is_json: bool) -> HostReturn:
        return self.background.add_job(asked, body, is_json)

    def _serve_cache(self, request: Any, asked: Dict[str, Any], body: bytes, is_json: bool) -> HostReturn:
        return self.cache.serve(asked, body, is_json)

    def _serve_lock(self, request: Any, asked: Dict[str, Any], body: bytes, is_json: bool) -> HostReturn:
        return self.locks.serve(asked, request)

    def _serve_crypto(self, request: Any, asked: Dict[str, Any], body: bytes, is_json: bool) -> HostReturn:
        return serve_crypto(asked, body)

    def _serve_outgoing(self, request: Any, asked: Dict[str, Any], body: bytes, is_json: bool) -> HostReturn:
        stubs: Any = {"rest-outgoing": self.rest, "sql-outgoing": self.sql}.get(asked["kind"])
        if stubs is None or asked["name"] not in stubs:
            known = ", ".join(stubs or ()) or "none"
            return refused(404, "NotFound", f"there is no outgoing connection '{asked['name']}' of the kind {asked['kind']}; there are: {known}")
        answer: HostReturn = stubs[asked["name"]].serve(asked, body)
        return answer


def encoded(payload: Any) -> Any:
    """The bytes of a payload and whether they are JSON: text and bytes are sent as they are."""
    if payload is None:
        return b"", False
    if isinstance(payload, str):
        return payload.encode(), False
    if isinstance(payload, (bytes, bytearray)):
        return bytes(payload), False
    return payloads.dumps(payload), True


def outcome_of(answer: HostReturn) -> Dict[str, Any]:
    """How a call ended, as its callbacks are told."""
    described = answer.described()
    failed = bool(answer.code) or int(described.get("status") or 200) >= 400
    data: Any = None
    if answer.body:
        text = str(answer.body, "utf-8", "replace")
        data = payloads.loads(text) if described.get("is_json") else text
    error = str(described.get("error") or (data.get("detail") if isinstance(data, dict) else data) or "") if failed else ""
    return {"is_ok": not failed, "data": data if not described.get("error") else None, "error": error}


def _http_metadata(method: str, data_format: str, http: Dict[str, Any]) -> Dict[str, Any]:
    query, params = dict(http.get("query") or {}), dict(http.get("params") or {})
    return {
        "method": (method or "POST").upper(),
        "path": http.get("path", "/"),
        "query": {name: value if isinstance(value, list) else str(value) for name, value in query.items()},
        "params": {name: str(value) for name, value in params.items()},
        "headers": {name.lower(): str(value) for name, value in (http.get("headers") or {}).items()},
        "remote": http.get("remote", "127.0.0.1"),
        "data_format": data_format,
        "merged_params": {name: value[-1] if isinstance(value, list) else str(value) for name, value in {**query, **params}.items()},
    }
