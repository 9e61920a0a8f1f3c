"""Properties that a service may give another value, as all that `self` has is its own: worked out once, or whenever asked for."""

from typing import Any, Callable, Generic, Optional, TypeVar, Union, overload

T = TypeVar("T")

UNSET: Any = type("Unset", (), {"__repr__": lambda self: "<not set>", "__bool__": lambda self: False})()
"""What has not been worked out yet, where None could be the outcome."""


class lazy(Generic[T]):  # noqa: N801 - used like `property`
    """Like functools.cached_property, without the lock that it takes in older versions of Python."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self._name = make.__name__
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> "lazy[T]": ...

    @overload
    def __get__(self, instance: Any, owner: type) -> T: ...

    def __get__(self, instance: Optional[Any], owner: type) -> Union["lazy[T]", T]:
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._make(instance)
        return value


class replaceable(Generic[T]):  # noqa: N801 - used like `property`
    """Like property, but what is assigned takes its place."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> "replaceable[T]": ...

    @overload
    def __get__(self, instance: Any, owner: type) -> T: ...

    def __get__(self, instance: Optional[Any], owner: type) -> Union["replaceable[T]", T]:
        return self if instance is None else self._make(instance)
