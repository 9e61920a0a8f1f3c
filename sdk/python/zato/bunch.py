"""Dicts whose keys are attributes too, as existing service files import them."""

from typing import Any

from tenon.bunch import Bunch, bunchify


def unbunchify(value: Any) -> Any:
    """The value with plain dicts in the place of bunches."""
    if isinstance(value, dict):
        return {key: unbunchify(item) for key, item in value.items()}
    return [unbunchify(item) for item in value] if isinstance(value, (list, tuple)) else value


__all__ = ["Bunch", "bunchify", "unbunchify"]
