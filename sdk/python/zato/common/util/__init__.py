"""Functions, as existing service files import them; see `zato.common.util.api`."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module("zato.common.util.api"), name)
