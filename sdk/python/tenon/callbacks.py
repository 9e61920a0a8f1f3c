"""What services are told of calls in the background, in the form that service files expect."""

from typing import Any, Dict, Optional

from .bunch import Bunch
from .invoking import unwrapped

ASYNC = "invoke-async-callback"
RETRY = "invoke-retry-callback"
ON_TARGET = "fanout-on-target"
ON_FINAL = "fanout-on-final"


def adapted(channel: Any, told: Dict[str, Any]) -> Any:
    """The payload of a service that is told of something, by the type of its channel; of any other service the payload itself.

    A callback of `invoke_async` gets the answer itself, without what a nested SimpleIO wraps it in, or if there was none what is
    known of the failure. The others get everything, with each fact under all the names that service files know it by.
    """
    if channel == ASYNC:
        return unwrapped(told.get("data")) if told.get("is_ok") else told
    if channel in (RETRY, ON_TARGET):
        return _with_all_names(told)
    if channel == ON_FINAL and isinstance(told.get("data"), list):
        return {**told, "data": [_with_all_names(each) if isinstance(each, dict) else each for each in told["data"]]}
    return told


def _with_all_names(told: Dict[str, Any]) -> Dict[str, Any]:
    cid = told.get("cid")
    return {
        **told,
        "target": told.get("service"),
        "response": told.get("data"),
        "ok": told.get("is_ok"),
        "exception": told.get("error") or None,
        "orig_cid": cid,
        "call_cid": cid,
    }


def outcome_of(request: Any) -> Optional[Bunch]:
    """All that a callback is told: `is_ok`, `data`, `error`, `service`, `cid`, `context`, `req_ts_utc`, `resp_ts_utc`; None if it is none."""
    if request.metadata.get("channel") not in (ASYNC, RETRY):
        return None
    request.payload  # noqa: B018 - reads the body
    told = request._told
    return Bunch(told) if isinstance(told, dict) else None
