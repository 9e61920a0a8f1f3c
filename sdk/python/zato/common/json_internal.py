"""JSON, as existing service files import it."""

from typing import Any, Union

from tenon import payloads


def dumps(value: Any, *args: Any, **kwargs: Any) -> str:
    """The JSON text of a value; dates, decimals, models and the like are written as answers have them."""
    if args or kwargs:
        import json

        kwargs.setdefault("default", payloads.plain)
        return json.dumps(value, *args, **kwargs)
    return payloads.dumps_text(value)


def loads(text: Union[str, bytes], *args: Any, **kwargs: Any) -> Any:
    """The value of a JSON text; ValueError if it is none."""
    return payloads.loads(text if isinstance(text, str) else str(text, "utf-8"))


__all__ = ["dumps", "loads"]
