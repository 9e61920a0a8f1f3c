"""What services ask of the platform, and what it answers. The worker does the sending and waiting."""

from typing import Any, Callable, Dict, Generator, NamedTuple, Tuple, Type

from . import payloads
from .errors import HostCallError, HostTimeout


class HostReturn(NamedTuple):
    """The platform's answer to a host call."""

    code: int
    flags: int
    tail: bytes
    body: bytes

    def described(self) -> Dict[str, Any]:
        """The description that goes with the answer."""
        described = payloads.loads(str(self.tail, "utf-8")) if self.tail else {}
        return described if isinstance(described, dict) else {}


TIME_IS_UP = (408, 504)
"""The time of the call that asks is up, or that of what was asked for."""

Convert = Callable[[HostReturn], Any]


def check(answer: HostReturn, error: Type[HostCallError] = HostCallError) -> None:
    """Raises if the platform could not do what was asked."""
    if answer.code:
        described = answer.described()
        message = str(described.get("error") or f"the platform answered with status {answer.code}")
        kind = str(described.get("type") or "")
        if answer.code in TIME_IS_UP:
            raise HostTimeout(message, 504, kind)
        raise error(message, answer.code, kind)


def json_body_of(value: Any) -> Tuple[bytes, bool]:
    """The payload of another service: JSON whatever it is, as only so text, numbers and null arrive as what they are."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value), False
    return (b"", False) if value is None else (payloads.dumps(value), True)


def body_of(value: Any) -> Tuple[bytes, bool]:
    """The bytes of a payload, and whether they are JSON."""
    if value is None:
        return b"", False
    if isinstance(value, str):
        return value.encode(), False
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value), False
    return payloads.dumps(value), True


Steps = Generator[Any, Any, Any]
"""Several host calls, one after the other: a generator that yields each call and gets its answer."""


def call(request: Any, described: Dict[str, Any], convert: Convert, body: bytes = b"", is_json: bool = False) -> Any:
    """Asks the platform for something on behalf of a request; something to be awaited in an `async def` service."""
    return request._host.call(request, described, body, is_json, convert)


def run_steps(request: Any, steps: Steps) -> Any:
    """Runs several host calls as if they were one: at once, or as something to be awaited in an `async def` service."""
    if request._task is not None:
        return _await_steps(steps)
    answer: Any = None
    try:
        while True:
            answer = steps.send(answer)
    except StopIteration as end:
        return end.value


async def _await_steps(steps: Steps) -> Any:
    try:
        awaited = next(steps)
        while True:
            try:
                answer = await awaited if hasattr(awaited, "__await__") else awaited
            except BaseException as error:
                # A cancelled task too: what is to be done in any case is done by the steps.
                awaited = steps.throw(error)
            else:
                awaited = steps.send(answer)
    except StopIteration as end:
        return end.value


def done(request: Any, value: Any) -> Any:
    """A value that needs no host call, in the form that a host call gives it."""
    if request._task is None:
        return value

    async def given() -> Any:
        return value

    return given()


def milliseconds(seconds: Any, name: str) -> int:
    """Seconds, as service authors write them, in milliseconds; ValueError if they are no duration."""
    try:
        value = float(seconds)
    except (TypeError, ValueError):
        raise ValueError(f"{name} has to be a number of seconds, not {seconds!r}") from None
    if not 0 <= value < 1e12:
        raise ValueError(f"{name} has to be a number of seconds of at least 0, not {seconds!r}")
    return round(value * 1000)
