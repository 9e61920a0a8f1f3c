"""How one service invokes another."""

from typing import Any, Dict

from . import payloads
from .bunch import bunchify
from .errors import InvocationFailed, ServiceMissing, from_problem
from .host import HostReturn, check, json_body_of

# What `invoke` accepts besides the payload; any other named argument becomes a part of the payload.
_OPTIONS = ("channel", "data_format", "transport", "serialize", "as_bunch", "timeout", "raise_timeout", "needs_response")


def service_name(service: Any) -> str:
    """The name of a service given by its name or class."""
    name = service if isinstance(service, str) else getattr(service, "name", None)
    if not isinstance(name, str) or not name:
        raise TypeError(f"a service is invoked by its name or its class, not by {service!r}")
    return name


def invoke(request: Any, service: Any, payload: Any, kwargs: Dict[str, Any]) -> Any:
    """Invokes a service and gives its answer."""
    options = {name: kwargs.pop(name) for name in _OPTIONS if name in kwargs}
    name = service_name(service)
    body, is_json = json_body_of(_payload(payload, kwargs))
    tail: Dict[str, Any] = {"op": "invoke", "service": name}
    if options.get("timeout"):
        tail["timeout_ms"] = int(float(options["timeout"]) * 1000)

    def convert(answer: HostReturn) -> Any:
        result = _answer(answer)
        if options.get("as_bunch"):
            return bunchify(result)
        return request._host.as_declared(name, result)

    return request._host.call(request, tail, body, is_json, convert)


def _payload(payload: Any, kwargs: Dict[str, Any]) -> Any:
    if not kwargs:
        return payload
    if not payload:
        return kwargs
    if isinstance(payload, dict):
        return {**payload, **kwargs}
    raise TypeError(f"a payload can't be given together with the named arguments {', '.join(kwargs)}")


def _check(answer: HostReturn) -> None:
    if answer.code == 404:
        check(answer, ServiceMissing)
    check(answer, InvocationFailed)


def _answer(answer: HostReturn) -> Any:
    _check(answer)
    described = answer.described()
    content_type = str(described.get("content_type") or "")
    body = answer.body
    status = int(described.get("status") or 200)
    if status >= 400 and content_type.startswith("application/problem+json"):
        raise from_problem(payloads.loads(str(body, "utf-8")) if body else None, status)
    if not body:
        return None
    if described.get("is_json") or not content_type or content_type.startswith("application/json"):
        try:
            return payloads.loads(str(body, "utf-8"))
        except ValueError:
            pass
    if content_type.startswith("application/octet-stream"):
        return body
    try:
        return str(body, "utf-8")
    except UnicodeDecodeError:
        return body
