"""How one service invokes another: now, or in the background."""

from typing import Any, Dict, List

from . import payloads
from .bunch import bunchify
from .errors import BadRequest, HostTimeout, InvocationFailed, ServiceMissing, from_problem
from .host import HostReturn, call, check, json_body_of, milliseconds

# What `invoke` accepts besides the payload; any other named argument becomes a part of the payload.
_OPTIONS = (
    "channel",
    "data_format",
    "transport",
    "serialize",
    "as_bunch",
    "timeout",
    "raise_timeout",
    "needs_response",
    "cid",
    "skip_response_elem",
    "environ",
    "zato_ctx",
)
_ASYNC_CALLBACK_SUFFIX = "-async-callback"


def service_name(service: Any) -> str:
    """The name of a service given by its name, its class or an instance."""
    name = service if isinstance(service, str) else getattr(service, "name", None)
    if not isinstance(name, str) or not name:
        raise TypeError(f"a service is invoked by its name or its class, not by {service!r}")
    return name


def service_names(services: Any) -> List[str]:
    """The names of one service or of several."""
    if services is None or services == "":
        return []
    return [service_name(each) for each in services] if isinstance(services, (list, tuple, set)) else [service_name(services)]


def invoke(request: Any, service: Any, payload: Any, kwargs: Dict[str, Any]) -> Any:
    """Invokes a service and gives its answer."""
    options = {name: kwargs.pop(name) for name in _OPTIONS if name in kwargs} if kwargs else kwargs
    name = service_name(service)
    tail: Dict[str, Any] = {"op": "invoke", "service": name}
    if "@" in name:
        name, _, server = name.partition("@")
        tail.update(service=name, server=server)
    elif name == request._entry.name:
        raise InvocationFailed(f"the service '{name}' can't invoke itself", 400, "BadRequest")
    return invoke_with(request, tail, payload_of(payload, kwargs), options)


def invoke_with(request: Any, tail: Dict[str, Any], payload: Any, options: Dict[str, Any]) -> Any:
    """Invokes the service that a host call names."""
    payload = read_payload(payload, options.get("data_format"))
    body, is_json = json_body_of(payload)
    if options.get("timeout"):
        tail["timeout_ms"] = milliseconds(options["timeout"], "timeout")
    name = tail["service"]

    def convert(answer: HostReturn) -> Any:
        try:
            result = _answer(answer, bool(options.get("serialize")))
        except HostTimeout:
            if options.get("raise_timeout", True):
                raise
            return None
        if options.get("skip_response_elem"):
            result = unwrapped(result)
        if options.get("as_bunch"):
            return bunchify(result)
        try:
            return request._host.as_declared(name, result)
        except BadRequest:
            # What a service answers is not checked against its model, and so not here.
            return result

    return call(request, tail, convert, body, is_json)


def invoke_async(service: Any, target: Any, payload: Any, options: Dict[str, Any]) -> Any:
    """Has a service invoked in the background, and gives the correlation id of that call."""
    request = service.request
    tail: Dict[str, Any] = {"op": "invoke-async", "service": service_name(target)}
    callback = options.get("callback")
    if callback:
        tail["callback"] = service_names(callback)
    else:
        sink = service_name(service) + _ASYNC_CALLBACK_SUFFIX
        if request._host.has_service(sink):
            tail["callback"] = [sink]
    if options.get("cid"):
        tail["cid"] = str(options["cid"])
    if options.get("timeout"):
        tail["timeout_ms"] = milliseconds(options["timeout"], "timeout")
    if options.get("context") is not None:
        tail["context"] = options["context"]
    if options.get("to_json_string") and not isinstance(payload, (str, bytes)):
        payload = payloads.dumps_text(payload)
    payload = read_payload(payload, options.get("data_format"))
    body, is_json = json_body_of(payload)
    return call(request, tail, cid_of, body, is_json)


def by_impl_name(request: Any, impl_name: str) -> str:
    """The name of the service of a module and class, such as `my_api.GetUser`."""
    known = request._host.service_of_class(impl_name)
    if known:
        return str(known)
    from .names import default_name

    module, _, name = impl_name.rpartition(".")
    if not module:
        raise ValueError(f"'{impl_name}' is no module and class, such as my_api.GetUser")
    # One of another worker group: it can only be called what services are called by default.
    return default_name(module, name)


def cid_of(answer: HostReturn) -> str:
    """The correlation id of a call that was begun in the background."""
    raise_for(answer)
    return str(answer.described().get("cid") or "")


def payload_of(payload: Any, kwargs: Dict[str, Any]) -> Any:
    """The payload, with named arguments as its parts; an empty text is none, as it is where no payload is given."""
    if isinstance(payload, str) and not payload:
        payload = None
    if not kwargs:
        return payload
    if payload is None or payload == {}:
        return kwargs
    if isinstance(payload, dict):
        return {**payload, **kwargs}
    # Named arguments beside another payload have no place in it.
    return payload


def unwrapped(answer: Any) -> Any:
    """What is within the element that the output of a nested SimpleIO is wrapped in; any other answer itself."""
    if isinstance(answer, dict):
        names = [name for name in answer if name != "_meta"]
        if len(names) == 1 and (names[0] == "response" or names[0].startswith("zato")):
            return answer[names[0]]
    return answer


def read_payload(payload: Any, data_format: Any) -> Any:
    """A payload, read if its caller says that it is the text of JSON."""
    if data_format != "json" or not isinstance(payload, (str, bytes)):
        return payload
    try:
        return payloads.loads(payload if isinstance(payload, str) else str(payload, "utf-8"))
    except ValueError:
        return payload


def raise_for(answer: HostReturn) -> None:
    """Raises if the platform could not invoke a service."""
    if answer.code == 404:
        check(answer, ServiceMissing)
    try:
        check(answer, InvocationFailed)
    except InvocationFailed as failed:
        from .raised import as_raised

        raise as_raised(failed) from None


def _answer(answer: HostReturn, as_text: bool) -> Any:
    if answer.code:
        raise_for(answer)
    described = answer.described()
    content_type = str(described.get("content_type") or "")
    body = answer.body
    status = int(described.get("status") or 200)
    if status >= 400 and content_type.startswith("application/problem+json"):
        raise from_problem(payloads.loads(str(body, "utf-8")) if body else None, status)
    if not body:
        return None
    if not as_text and (described.get("is_json") or not content_type or content_type.startswith("application/json")):
        try:
            return payloads.loads(str(body, "utf-8"))
        except ValueError:
            pass
    if content_type.startswith("application/octet-stream"):
        return body
    return text_or_bytes(body)


def text_or_bytes(body: bytes) -> Any:
    """A body as text if it is text."""
    try:
        return str(body, "utf-8")
    except UnicodeDecodeError:
        return body
