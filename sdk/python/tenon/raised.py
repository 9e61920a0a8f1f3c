"""Exceptions of invoked services, as their callers catch them: `except ValueError`, although the service ran elsewhere."""

import builtins
import sys
from typing import Any, Dict, Iterator, Optional, Type

from .current import CURRENT
from .errors import InvocationFailed, StatusError

_made: Dict[Type[Exception], Type[InvocationFailed]] = {}


def as_raised(failed: InvocationFailed) -> InvocationFailed:
    """A failure that is an exception of the class that the invoked service raised too, if that class is known here.

    It has the message, but no other attributes.
    """
    name, separator, message = str(failed.msg).partition(": ")
    kind = _class_of(name) if separator else None
    if kind is None:
        return failed
    try:
        return _failure_of(kind)(message, failed.code, failed.type)
    except Exception:
        # Some classes can't be made without more than a message.
        return failed


def _failure_of(kind: Type[Exception]) -> Type[InvocationFailed]:
    made = _made.get(kind)
    if made is None:
        # A KeyError would show its message in quotes once more.
        named = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__str__": lambda error: str(error.msg)}
        made = _made[kind] = type(kind.__name__, (InvocationFailed, kind), named)
    return made


def _class_of(name: str) -> Optional[Type[Exception]]:
    """The class of exceptions with a name: the one that the caller's file knows, Python's own, or the only one there is."""
    classes = {each for each in _subclasses(Exception) if each.__qualname__ == name and each not in _made.values()}
    own: Any = getattr(builtins, name, None)
    known = [each for each in (*_known_to_caller(), own) if each in classes]
    found = known[0] if known else classes.pop() if len(classes) == 1 else None
    # Those with a status come back as what they are, and failures of host calls are none of the invoked service's own.
    return None if found is None or issubclass(found, StatusError) else found


def _known_to_caller() -> Iterator[Type[Any]]:
    request = CURRENT.get()
    module = None if request is None else sys.modules.get(request._entry.cls.__module__)
    yield from (each for each in vars(module).values() if isinstance(each, type)) if module is not None else ()


def _subclasses(kind: Type[Exception]) -> Iterator[Type[Exception]]:
    for each in kind.__subclasses__():
        yield each
        yield from _subclasses(each)
