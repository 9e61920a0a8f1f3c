"""Calls in the background and jobs, which a test runs when it wants to."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Callable, Dict, List, NamedTuple, Optional

from .. import payloads
from ..callbacks import ASYNC, ON_FINAL, ON_TARGET, RETRY
from ..host import HostReturn
from ..times import from_iso
from .memory import ok

if TYPE_CHECKING:
    from .platform import Platform


class Call(NamedTuple):
    """A call that a service left to be done in the background."""

    service: str
    payload: Any
    cid: str
    callbacks: List[str]


class Job(NamedTuple):
    """A job that a service scheduled."""

    name: str
    service: str
    payload: Any
    at: datetime


class Background:
    """What services left to be done later."""

    def __init__(self, platform: "Platform") -> None:
        self._platform = platform
        self._waiting: List[Any] = []
        self._jobs: List[Any] = []

    @property
    def calls(self) -> List[Call]:
        """The calls that were not run yet, without callbacks that come of them."""
        return [call for call, _ in self._waiting if call is not None]

    @property
    def jobs(self) -> List[Job]:
        """The jobs that were not run yet, the next one first."""
        return sorted((job for job, _, _ in self._jobs), key=lambda job: job.at)

    def run(self) -> List[Call]:
        """Runs calls, and those that come of them, until none is left; gives those that services asked for."""
        run = []
        while self._waiting:
            call, act = self._waiting.pop(0)
            if call is not None:
                run.append(call)
            act()
        self._platform._raise_failed()
        return run

    def run_due(self) -> List[Job]:
        """Runs the jobs whose time has come, and gives them."""
        due = sorted((each for each in self._jobs if each[0].at <= self._platform.clock.now), key=lambda each: each[0].at)
        for each in due:
            self._jobs.remove(each)
            job, body, is_json = each
            metadata = {"channel": "scheduler", "channel_name": job.name}
            self._platform.invoke(job.service, body, is_json, metadata, self._platform.new_cid())
        self._platform._raise_failed()
        return [job for job, _, _ in due]

    def add_job(self, asked: Dict[str, Any], body: bytes, is_json: bool) -> HostReturn:
        """Keeps a job."""
        platform = self._platform
        name = str(asked.get("name") or f"{asked.get('prefix') or asked['service']}.{platform.next_id()}")
        at = from_iso(asked["at"]) if asked.get("at") else platform.clock.now + timedelta(milliseconds=asked.get("after_ms") or 0)
        self._jobs.append((Job(name, asked["service"], _payload(body, is_json), at), body, is_json))
        return ok({"name": name})

    def add_call(self, request: Any, asked: Dict[str, Any], body: bytes, is_json: bool) -> HostReturn:
        """Keeps a call, or one that is repeated if it fails."""
        cid = str(asked.get("cid") or self._platform.new_cid())
        callbacks = list(asked.get("callback") or ())
        call = Call(asked["service"], _payload(body, is_json), cid, callbacks)
        source, is_retry = request._entry.name, asked["op"] == "retry-async"

        def run() -> None:
            began = self._now()
            for attempt in range(int(asked.get("repeats") or 0) + 1):
                if attempt:
                    self._platform.clock.advance(int(asked.get("delay_ms") or 0) / 1000)
                outcome = self._invoke(call.service, source, body, is_json, cid)
                if outcome["is_ok"]:
                    break
            told = {"service": call.service, **outcome, "cid": cid, "req_ts_utc": began, "resp_ts_utc": self._now()}
            told.update(context=asked.get("context"), phase="callback", source=source)
            for callback in callbacks:
                self._tell(callback, told, RETRY if is_retry else ASYNC, cid)

        self._waiting.append((call, run))
        return ok({"cid": cid})

    def add_fan_out(self, request: Any, asked: Dict[str, Any], body: bytes) -> HostReturn:
        """Keeps several calls, with one that is told of all."""
        cid = str(asked.get("cid") or self._platform.new_cid())
        source, began = request._entry.name, self._now()
        targets = list(asked["targets"])
        given = payloads.loads(str(body, "utf-8"))
        found: Dict[int, Dict[str, Any]] = {}

        def target(index: int) -> Callable[[], None]:
            def run() -> None:
                content, is_json = (b"", False) if given[index] is None else (payloads.dumps(given[index]), True)
                own_cid = self._platform.new_cid()
                outcome = self._invoke(targets[index], source, content, is_json, own_cid, "fanout-call")
                found[index] = {"service": targets[index], **outcome, "cid": own_cid, "req_ts_utc": began, "resp_ts_utc": self._now()}
                told = {**found[index], "context": None, "phase": "on-target", "source": source}
                for callback in asked.get("on_target") or ():
                    self._tell(callback, told, ON_TARGET, own_cid)
                if len(found) == len(targets):
                    data = [found[each] for each in range(len(targets))]
                    final = {"phase": "on-final", "source": source, "cid": cid, "req_ts_utc": began, "resp_ts_utc": self._now(), "data": data}
                    for callback in asked.get("on_final") or ():
                        self._tell(callback, final, ON_FINAL, cid)

            return run

        for index, service in enumerate(targets):
            self._waiting.append((Call(service, given[index], cid, []), target(index)))
        return ok({"cid": cid})

    def _invoke(self, service: str, source: str, body: bytes, is_json: bool, cid: str, channel: str = "invoke-async") -> Dict[str, Any]:
        from .platform import outcome_of

        return outcome_of(self._platform.invoke(service, body, is_json, {"channel": channel, "channel_name": source}, cid))

    def _tell(self, callback: str, told: Dict[str, Any], channel: str, cid: str) -> None:
        body = payloads.dumps(told)
        metadata = {"channel": channel, "channel_name": told["source"]}
        self._waiting.append((None, lambda: self._platform.invoke(callback, body, True, metadata, cid)))

    def _now(self) -> str:
        return self._platform.clock.now.isoformat().replace("+00:00", "Z")


def _payload(body: bytes, is_json: bool) -> Optional[Any]:
    if not body:
        return None
    return payloads.loads(str(body, "utf-8")) if is_json else str(body, "utf-8", "replace")
