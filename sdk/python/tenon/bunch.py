"""A dict whose keys are attributes too."""

from typing import Any, Dict


class Bunch(Dict[str, Any]):
    """A dict whose keys are attributes too; an absent one is an AttributeError."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no '{name}' in {sorted(map(str, self))}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(name) from None

    def to_dict(self) -> Dict[str, Any]:
        """The same as plain dicts, at any depth."""
        plain: Dict[str, Any] = unbunchify(self)
        return plain

    toDict = to_dict  # noqa: N815 - the name that service files use

    @classmethod
    def fromDict(cls, value: Any) -> Any:  # noqa: N802 - the name that service files use
        """The value with every dict in it as a Bunch."""
        return bunchify(value)

    def toJSON(self, **options: Any) -> str:  # noqa: N802 - the name that service files use
        """The JSON text; named arguments are those of `json.dumps`."""
        import json

        return json.dumps(self, **options)

    def copy(self) -> "Bunch":
        """A copy that shares what is in it."""
        return type(self)(self)


def unbunchify(value: Any) -> Any:
    """The value with plain dicts in the place of bunches."""
    if isinstance(value, dict):
        return {key: unbunchify(item) for key, item in value.items()}
    return [unbunchify(item) for item in value] if isinstance(value, (list, tuple)) else value


def bunchify(value: Any) -> Any:
    """The value with every dict in it as a Bunch."""
    if isinstance(value, dict):
        return Bunch((key, bunchify(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return [bunchify(item) for item in value]
    return value
