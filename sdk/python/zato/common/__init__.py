"""What existing service files import from here; see also `zato.common.api`, `zato.common.exception` and `zato.common.typing_`."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    from importlib import import_module

    for module in ("zato.common.exception", "zato.common.api"):
        found = getattr(import_module(module), name, None)
        if found is not None:
            return found
    raise AttributeError(f"module 'zato.common' has no attribute '{name}'")
