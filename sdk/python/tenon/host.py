"""What services ask of the platform, and what it answers. The worker does the sending and waiting."""

from typing import Any, Callable, Dict, NamedTuple, Tuple, Type

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


Convert = Callable[[HostReturn], Any]


def check(answer: HostReturn, error: Type[HostCallError] = HostCallError) -> None:
    """Raises if the platform could not do what was asked."""
    if answer.code:
        described = answer.described()
        message = str(described.get("error") or f"the platform answered with status {answer.code}")
        kind = str(described.get("type") or "")
        raise (HostTimeout if answer.code == 504 else error)(message, answer.code, kind)


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
