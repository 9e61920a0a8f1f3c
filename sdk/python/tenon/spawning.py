"""Functions that a service runs in a thread of their own."""

import threading
from contextvars import copy_context
from typing import Any, Callable, Dict, Optional, Tuple


class Spawned:
    """A function that runs in a thread of its own."""

    def __init__(self, function: Callable[..., Any], args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> None:
        self.value: Any = None
        """What the function gave."""
        self.exception: Optional[BaseException] = None
        """What the function raised."""
        context = copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run, function, args, kwargs), name="tenon-spawned", daemon=True)
        self._thread.start()

    def _run(self, function: Callable[..., Any], args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> None:
        try:
            self.value = function(*args, **kwargs)
        except BaseException as error:
            self.exception = error

    def ready(self) -> bool:
        """Whether the function has ended."""
        return not self._thread.is_alive()

    def successful(self) -> bool:
        """Whether the function has ended without an exception."""
        return self.ready() and self.exception is None

    def join(self, timeout: Optional[float] = None) -> None:
        """Waits until the function has ended, for so many seconds at most."""
        self._thread.join(timeout)

    wait = join

    def get(self, block: bool = True, timeout: Optional[float] = None) -> Any:
        """What the function gave; what it raised is raised again. TimeoutError if it has not ended in time."""
        if block:
            self._thread.join(timeout)
        if not self.ready():
            raise TimeoutError("the function has not ended yet")
        if self.exception is not None:
            raise self.exception
        return self.value


def spawn(function: Callable[..., Any], args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> Spawned:
    """Runs a function in a thread of its own, with the correlation id of the call in its log lines."""
    return Spawned(function, args, kwargs)
