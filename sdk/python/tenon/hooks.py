"""Hooks: methods that are run around a service's handler. Only services that have some pay for them."""

from datetime import datetime, timezone
from typing import Any, Callable, ClassVar, Dict, Generator, Optional, Tuple

from .host import run_steps
from .lazy import UNSET

Hook = Callable[[Any], Any]

_BEFORE = ("before_job", "before_one_time_job", "before_interval_based_job", "before_cron_style_job", "before_handle")
_AFTER = ("after_handle", "after_job", "after_one_time_job", "after_interval_based_job", "after_cron_style_job")
_STRICT = ("accept", "validate_input", "validate_output")
_JOB_TYPES = {"one_time_job": "one_time", "interval_based_job": "interval_based", "cron_style_job": "cron_style"}
_KEPT_WITHOUT_HOOKS = ("accept",)


class Hooks:
    """What a service may do before and after its handler; all of it does nothing unless the service says otherwise."""

    call_hooks: ClassVar[bool] = True
    """False if no hook but `accept` is to be run."""

    schema: ClassVar[Any] = None
    """A JSON Schema that the payload has to fit: the name of a file that lies beside the service's, or a dict."""

    def accept(self) -> Any:
        """Whether the call is taken at all: if it gives False, the handler is not run and the answer is empty, with status 400 over HTTP."""
        return True

    def before_handle(self) -> Any:
        """Run before the handler; exceptions are logged only."""

    def after_handle(self) -> Any:
        """Run after the handler and `validate_output`, if these raised nothing; exceptions are logged only."""

    def validate_input(self) -> Any:
        """Run before the handler, after `before_handle`; an exception is the answer, and the handler is not run."""

    def validate_output(self) -> Any:
        """Run after the handler; an exception is the answer."""

    def finalize_handle(self) -> Any:
        """Run last, whatever happened; exceptions are logged only."""

    def before_job(self) -> Any:
        """Run before `before_handle` if a job calls; exceptions are logged only."""

    def after_job(self) -> Any:
        """Run after `after_handle` if a job calls; exceptions are logged only."""

    def before_one_time_job(self) -> Any:
        """The same as `before_job`, for jobs that run once."""

    def after_one_time_job(self) -> Any:
        """The same as `after_job`, for jobs that run once."""

    def before_interval_based_job(self) -> Any:
        """The same as `before_job`, for jobs that run every so often."""

    def after_interval_based_job(self) -> Any:
        """The same as `after_job`, for jobs that run every so often."""

    def before_cron_style_job(self) -> Any:
        """The same as `before_job`, for jobs with a cron expression."""

    def after_cron_style_job(self) -> Any:
        """The same as `after_job`, for jobs with a cron expression."""


def hooked(cls: type) -> bool:
    """Whether a service has hooks of its own, or a JSON Schema."""
    return bool(_own_hooks(cls) or getattr(cls, "schema", None))


def _own_hooks(cls: type) -> Dict[str, Hook]:
    names = (*_BEFORE, *_AFTER, *_STRICT, "finalize_handle") if getattr(cls, "call_hooks", True) else _KEPT_WITHOUT_HOOKS
    found = {name: getattr(cls, name, None) for name in names}
    return {name: hook for name, hook in found.items() if hook is not None and hook is not getattr(Hooks, name)}


def around(cls: type, handler: Hook) -> Hook:
    """A handler with the hooks of its service around it, and the check of its JSON Schema before."""
    hooks = _own_hooks(cls)
    schema = _schema_of(cls)

    def run(instance: Any) -> Any:
        return run_steps(instance.request, _steps(instance, handler, hooks, schema))

    return run


def _schema_of(cls: Any) -> Any:
    if not cls.schema:
        return None
    import os
    import sys

    from .json_schema import schema_of

    module = sys.modules.get(cls.__module__)
    return schema_of(cls, os.path.dirname(getattr(module, "__file__", None) or ""))


def _steps(instance: Any, handler: Hook, hooks: Dict[str, Hook], schema: Any) -> Generator[Any, Any, Any]:
    instance.invocation_time = utc_now()
    accept = hooks.get("accept")
    if accept is not None and (yield accept(instance)) is False:
        if instance.response.status_code == 200 and "method" in instance.request.metadata:
            instance.response.status_code = 400
        return None
    try:
        yield from _logged(instance, hooks, _BEFORE)
        if schema is not None:
            schema.check(instance.request.payload)
        if "validate_input" in hooks:
            yield hooks["validate_input"](instance)
        returned = yield handler(instance)
        instance.handle_return_time = utc_now()
        response = instance.response
        if response._payload is UNSET and returned is not None:
            # What is returned is the answer, and hooks look for the answer in the response.
            response.payload = returned
        if "validate_output" in hooks:
            yield hooks["validate_output"](instance)
        yield from _logged(instance, hooks, _AFTER)
    finally:
        yield from _logged(instance, hooks, ("finalize_handle",))
    return None


def _logged(instance: Any, hooks: Dict[str, Hook], names: Tuple[str, ...]) -> Generator[Any, Any, None]:
    """Runs hooks whose exceptions are logged only."""
    for name in names:
        hook = hooks.get(name)
        if hook is None or not _applies(instance, name):
            continue
        try:
            yield hook(instance)
        except Exception:
            instance.logger.exception("%s raised an exception", name)


def _applies(instance: Any, name: str) -> bool:
    """Whether a hook is for this call: those of jobs are for calls of jobs, of their kind."""
    what = name.partition("_")[2]
    if what != "job" and what not in _JOB_TYPES:
        return True
    metadata = instance.request.metadata
    if metadata.get("channel") != "scheduler":
        return False
    wanted: Optional[str] = _JOB_TYPES.get(what)
    return wanted is None or metadata.get("job_type") == wanted


def utc_now() -> datetime:
    """Now in UTC, without a time zone, as service files expect the times of a call."""
    return datetime.now(timezone.utc).replace(tzinfo=None)
