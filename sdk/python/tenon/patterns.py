"""Patterns of invoking services: many at once, and again until one answers."""

from typing import Any, Dict, List, Mapping, Optional, Tuple

from .errors import HostCallError
from .host import Steps, call, json_body_of, milliseconds, run_steps
from .invoking import cid_of, invoke, payload_of, service_name, service_names

REPEATS = 5
"""How often a call is repeated if its caller does not say."""
DELAY_SECONDS = 1.0
"""How long to wait before a call is repeated if its caller does not say."""


class FanOut:
    """Several services at once, in the background, and then one that gets all their answers."""

    def __init__(self, service: Any) -> None:
        self._service = service

    def invoke(self, targets: Mapping[Any, Any], on_final: Any = None, on_target: Any = None, cid: Optional[str] = None) -> Any:
        """Invokes each target with its payload, `{service: payload}`, and gives the correlation id of the whole at once.

        Each service of `on_target` is invoked for every target that ends. Each of `on_final` is invoked when all have ended,
        with `{"phase": "on-final", "source", "req_ts_utc", "data": […]}`, where the data are in the order of the targets.
        """
        if not on_final:
            raise ValueError("fanout.invoke needs on_final, the service that gets all answers; parallel.invoke does without")
        return _invoke_all(self._service, targets, on_target, on_final, cid)


class Parallel:
    """Several services at once, in the background, with one that is told of each answer."""

    def __init__(self, service: Any) -> None:
        self._service = service

    def invoke(self, targets: Mapping[Any, Any], on_target: Any = None, cid: Optional[str] = None) -> Any:
        """Invokes each target with its payload, `{service: payload}`, and gives the correlation id of the whole at once.

        Each service of `on_target` is invoked for every target that ends.
        """
        return _invoke_all(self._service, targets, on_target, None, cid)


def _invoke_all(service: Any, targets: Mapping[Any, Any], on_target: Any, on_final: Any, cid: Optional[str]) -> Any:
    if not targets:
        raise ValueError("there is no target to invoke")
    tail: Dict[str, Any] = {"op": "fan-out", "targets": [service_name(target) for target in targets]}
    for name, callbacks in (("on_target", service_names(on_target)), ("on_final", service_names(on_final))):
        if callbacks:
            tail[name] = callbacks
    if cid:
        tail["cid"] = str(cid)
    body, is_json = json_body_of([payload_of(payload, {}) for payload in targets.values()])
    return call(service.request, tail, cid_of, body, is_json)


class InvokeRetry:
    """A service that is invoked again if it fails."""

    def __init__(self, service: Any) -> None:
        self._service = service

    def invoke(self, target: Any, *args: Any, **kwargs: Any) -> Any:
        """Invokes a service, up to `repeats` times more if it fails, with `seconds` or `minutes` between, and gives its answer.

        The last failure is raised, unless `async_fallback=True`: then the call is repeated in the background from there on,
        as by `invoke_async`, and the correlation id of that is the answer.
        """
        settings = _Settings(self._service, kwargs)
        payload = payload_of(_only(args), settings.values)
        return run_steps(self._service.request, self._attempts(target, payload, settings))

    def invoke_async(self, target: Any, *args: Any, **kwargs: Any) -> Any:
        """Has a service invoked in the background, up to `repeats` times more if it fails, and gives the correlation id at once.

        `callback`, a service or several, is told how it ended, with the `context` that is given here.
        """
        settings = _Settings(self._service, kwargs)
        return _retry_in_background(self._service, target, payload_of(_only(args), settings.values), settings)

    def _attempts(self, target: Any, payload: Any, settings: "_Settings") -> Steps:
        service = self._service
        attempt = 0
        while True:
            try:
                return (yield invoke(service.request, target, payload, dict(settings.options)))
            except Exception as error:
                if _is_final(error):
                    raise
                if attempt >= settings.repeats:
                    if not settings.async_fallback:
                        raise
                    return (yield _retry_in_background(service, target, payload, settings))
                attempt += 1
                service.logger.info("'%s' failed, attempt %s of %s: %s", service_name(target), attempt, settings.repeats + 1, error)
            yield service.sleep(settings.delay_seconds)


def _is_final(error: Exception) -> bool:
    """Whether trying again can't help: the service asked for what can't be."""
    return error.code == 400 if isinstance(error, HostCallError) else isinstance(error, (TypeError, ValueError))


class _Settings:
    """How often and when to repeat, taken out of the named arguments; what is left is the payload's and the call's."""

    def __init__(self, service: Any, kwargs: Dict[str, Any]) -> None:
        def take(name: str, default: Any = None) -> Any:
            return kwargs.pop(name, kwargs.pop(f"retry_{name}", default))

        self.repeats = int(take("repeats", REPEATS))
        seconds, minutes = take("seconds"), take("minutes")
        if seconds and minutes:
            raise ValueError("give either seconds or minutes, not both")
        self.delay_seconds = float(seconds) if seconds else float(minutes) * 60 if minutes else DELAY_SECONDS
        if self.repeats < 0 or self.delay_seconds < 0:
            raise ValueError("repeats and the time between must not be negative")
        self.async_fallback = bool(kwargs.pop("async_fallback", False))
        self.callback: List[str] = service_names(kwargs.pop("callback", None))
        self.context = kwargs.pop("context", None)
        self.options: Dict[str, Any] = {name: kwargs.pop(name) for name in ("timeout", "as_bunch", "serialize") if name in kwargs}
        self.values = kwargs


def _only(args: Tuple[Any, ...]) -> Any:
    if len(args) > 1:
        raise TypeError("a service takes one payload")
    return args[0] if args else None


def _retry_in_background(service: Any, target: Any, payload: Any, settings: _Settings) -> Any:
    tail: Dict[str, Any] = {
        "op": "retry-async",
        "service": service_name(target),
        "repeats": settings.repeats,
        "delay_ms": milliseconds(settings.delay_seconds, "seconds"),
    }
    if settings.callback:
        tail["callback"] = settings.callback
    if settings.context is not None:
        tail["context"] = settings.context
    body, is_json = json_body_of(payload)
    return call(service.request, tail, cid_of, body, is_json)


class Patterns:
    """`self.patterns`: `fanout`, `parallel` and `invoke_retry`."""

    def __init__(self, service: Any) -> None:
        self.fanout = FanOut(service)
        self.parallel = Parallel(service)
        self.invoke_retry = InvokeRetry(service)
