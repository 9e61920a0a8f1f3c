"""Models: dataclasses that inputs and outputs are declared with.

`@dataclass(init=False) class User(Model)` with type hints; nested models, lists, dicts, optional fields and defaults.
"""

import dataclasses
import sys
import typing
from dataclasses import MISSING, dataclass
from dataclasses import field as field
from typing import Any, Dict, List, Tuple, Type, TypeVar, Union

from . import convert, payloads
from .convert import Converter, Invalid, Missing
from .current import CURRENT

__all__ = ["Model", "converter_of", "dataclass", "field", "schema_of"]

_M = TypeVar("_M", bound="Model")
_NONE = type(None)
_NESTING_LIMIT = 100


class Model:
    """The base of models."""

    @classmethod
    def from_dict(cls: Type[_M], data: Any, **extra: Any) -> _M:
        """An instance with the values of a dict, and further ones (named, or `extra={…}`); BadRequest with the path of what does not fit."""
        if isinstance(extra.get("extra"), dict) and "extra" not in _fields(cls):
            extra = {**extra.pop("extra"), **extra}
        if extra:
            data = {**data, **extra}
        return _read_model(cls, data, "")

    _from_dict = from_dict

    @classmethod
    def from_json(cls: Type[_M], text: Union[str, bytes]) -> _M:
        """An instance with the values of a JSON object."""
        return cls.from_dict(payloads.loads(text if isinstance(text, str) else str(text, "utf-8")))

    @classmethod
    def build_model_from_flat_input(cls: Type[_M], *args: Any, **values: Any) -> _M:
        """An instance with the values of a flat dict, which is the last argument; nested models find theirs in it too."""
        return _read_model(cls, _unflattened(cls, dict(args[-1] if args else values)), "")

    def to_dict(self) -> Dict[str, Any]:
        """The values that are set, with nested models as dicts."""
        values = {}
        for name in _fields(type(self)):
            try:
                values[name] = _plain(getattr(self, name))
            except AttributeError:
                continue
        return values

    def to_json(self, default: Any = None, impl_extra: int = 0) -> str:
        """The values as a JSON text."""
        return payloads.dumps_text(self.to_dict())

    def clone(self: _M) -> _M:
        """A copy that shares no nested model with this one."""
        import copy

        return copy.deepcopy(self)

    def after_created(self, ctx: "ModelCtx") -> None:
        """Called on each instance that was made of an input, nested ones first."""

    def get(self, name: str, default: Any = None) -> Any:
        """A value, or the default if it is not set."""
        return getattr(self, name, default)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and hasattr(self, name)

    def __getitem__(self, name: str) -> Any:
        """A value; None if it is not set."""
        return getattr(self, name, None)


class ModelCtx:
    """What `after_created` is told: the model, the data that the instance was made of, and the service that reads it."""

    def __init__(self, model: type, data: Dict[str, Any]) -> None:
        self.DataClass = model
        self.data = data

    @property
    def service(self) -> Any:
        """The service whose input is being read; None outside of a call."""
        request = CURRENT.get()
        return None if request is None else request._service


class _Field(typing.NamedTuple):
    name: str
    read: Converter
    is_optional: bool
    default: Any
    default_factory: Any


_plans: Dict[type, Tuple[_Field, ...]] = {}


def _fields(model: type) -> List[str]:
    return [item.name for item in dataclasses.fields(model)] if dataclasses.is_dataclass(model) else list(typing.get_type_hints(model))


def _plan(model: type) -> Tuple[_Field, ...]:
    plan = _plans.get(model)
    if plan is None:
        for each in reversed(model.__mro__):
            # A model without its decorator is meant as one too, and so is one that it inherits from.
            if issubclass(each, Model) and each is not Model and "__dataclass_fields__" not in each.__dict__:
                dataclass(init=False)(each)
        try:
            hints = typing.get_type_hints(model)
        except NameError as error:
            raise TypeError(f"model {model.__name__}: {error}") from None
        fields = []
        for item in dataclasses.fields(model):
            hint = hints.get(item.name, Any)
            has_default = item.default is not MISSING or item.default_factory is not MISSING
            fields.append(
                _Field(
                    item.name,
                    converter_of(hint),
                    has_default or _is_optional(hint),
                    None if item.default is MISSING else item.default,
                    None if item.default_factory is MISSING else item.default_factory,
                )
            )
        plan = _plans[model] = tuple(fields)
    return plan


def _read_model(model: Type[_M], data: Any, path: str) -> _M:
    if isinstance(data, model):
        return data
    if not isinstance(data, dict):
        raise Invalid(path, f"expected an object, found {convert.kind(data)}")
    if path.count("/") > _NESTING_LIMIT:
        raise Invalid(path, "it is nested too deeply")
    instance = model.__new__(model)
    for name, read, is_optional, default, default_factory in _plan(model):
        value = data.get(name, MISSING)
        if value is MISSING:
            if not is_optional:
                raise Missing(f"{path}/{name}")
            value = default_factory() if default_factory is not None else default
        else:
            value = read(value, f"{path}/{name}")
        object.__setattr__(instance, name, value)
    if model.after_created is not Model.after_created:
        instance.after_created(ModelCtx(model, data))
    return instance


def _unflattened(model: type, flat: Dict[str, Any], outer: Tuple[type, ...] = ()) -> Dict[str, Any]:
    """A flat dict in the shape of a model."""
    _plan(model)
    data = dict(flat)
    for name, hint in typing.get_type_hints(model).items():
        if name not in data and is_model(hint) and hint not in (model, *outer):
            data[name] = _unflattened(hint, flat, (model, *outer))
    return data


def _plain(value: Any) -> Any:
    if isinstance(value, Model):
        return value.to_dict()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _is_union(origin: Any) -> bool:
    if origin is Union:
        return True
    union_type = getattr(sys.modules.get("types"), "UnionType", None)
    return union_type is not None and origin is union_type


def _is_optional(hint: Any) -> bool:
    return _is_union(typing.get_origin(hint)) and _NONE in typing.get_args(hint)


def is_model(declared: Any) -> bool:
    """Whether a declaration is a model class."""
    return isinstance(declared, type) and issubclass(declared, Model)


def _scalars() -> Dict[Any, Tuple[Converter, Dict[str, Any]]]:
    from datetime import date, datetime
    from decimal import Decimal
    from uuid import UUID

    return {
        str: (convert.to_text, {"type": "string"}),
        int: (convert.to_int, {"type": "integer"}),
        float: (convert.to_float, {"type": "number"}),
        bool: (convert.to_bool, {"type": "boolean"}),
        dict: (convert.to_dict, {"type": "object"}),
        list: (convert.to_list, {"type": "array"}),
        tuple: (convert.to_list, {"type": "array"}),
        Decimal: (convert.to_decimal, {"type": "number"}),
        datetime: (convert.to_datetime, {"type": "string", "format": "date-time"}),
        date: (convert.to_date, {"type": "string", "format": "date"}),
        UUID: (convert.to_uuid, {"type": "string", "format": "uuid"}),
    }


def converter_of(hint: Any) -> Converter:
    """What reads values of a type."""
    if is_model(hint):
        return lambda value, path: _read_model(hint, value, path)
    scalar = _scalars().get(hint)
    if scalar is not None:
        return scalar[0]
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if _is_union(origin):
        return _union([each for each in args if each is not _NONE], _NONE in args)
    if origin in (list, set, tuple, frozenset) or (isinstance(origin, type) and origin.__name__ in ("Sequence", "Iterable")):
        return _list(converter_of(args[0]) if args else convert.as_is)
    if origin is dict or (isinstance(origin, type) and origin.__name__ in ("Mapping", "MutableMapping")):
        return _dict(converter_of(args[1]) if len(args) == 2 else convert.as_is)
    if origin is typing.Literal:
        return _literal(args)
    if _is_enum(hint):
        return _enum(hint)
    return convert.as_is


def _is_enum(hint: Any) -> bool:
    enum = sys.modules.get("enum")
    return enum is not None and isinstance(hint, type) and issubclass(hint, enum.Enum)


def _union(hints: List[Any], or_none: bool) -> Converter:
    readers = [converter_of(each) for each in hints]
    exact = tuple(each for each in hints if isinstance(each, type))

    def read(value: Any, path: str) -> Any:
        if value is None and or_none:
            return None
        if len(readers) > 1 and type(value) in exact and not is_model(type(value)):
            return readers[hints.index(type(value))](value, path)
        error = None
        for reader in readers:
            try:
                return reader(value, path)
            except Invalid as invalid:
                error = error or invalid
        raise error or Invalid(path, "it fits nothing that is declared")

    return read


def _list(reader: Converter) -> Converter:
    def read(value: Any, path: str) -> Any:
        return [reader(item, f"{path}[{index}]") for index, item in enumerate(convert.to_list(value, path))]

    return read


def _dict(reader: Converter) -> Converter:
    def read(value: Any, path: str) -> Any:
        return {key: reader(item, f"{path}/{key}") for key, item in convert.to_dict(value, path).items()}

    return read


def _literal(values: Tuple[Any, ...]) -> Converter:
    def read(value: Any, path: str) -> Any:
        if value in values:
            return value
        raise Invalid(path, f"expected one of {', '.join(map(repr, values))}")

    return read


def _enum(enum: Any) -> Converter:
    def read(value: Any, path: str) -> Any:
        try:
            return enum(value)
        except ValueError:
            raise Invalid(path, f"expected one of {', '.join(repr(each.value) for each in enum)}") from None

    return read


def schema_of(hint: Any, seen: Tuple[type, ...] = ()) -> Dict[str, Any]:
    """The JSON Schema of a type; a model within itself is any object."""
    if is_model(hint):
        if hint in seen:
            return {"type": "object"}
        hints = typing.get_type_hints(hint)
        plan = _plan(hint)
        schema: Dict[str, Any] = {
            "type": "object",
            "title": hint.__name__,
            "properties": {item.name: schema_of(hints.get(item.name, Any), (*seen, hint)) for item in plan},
        }
        required = [item.name for item in plan if not item.is_optional]
        if required:
            schema["required"] = required
        return schema
    scalar = _scalars().get(hint)
    if scalar is not None:
        return dict(scalar[1])
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if _is_union(origin):
        branches = [{"type": "null"} if each is _NONE else schema_of(each, seen) for each in args]
        return {"anyOf": branches}
    if origin in (list, set, tuple, frozenset):
        return {"type": "array", "items": schema_of(args[0], seen)} if args else {"type": "array"}
    if origin is dict:
        return {"type": "object", "additionalProperties": schema_of(args[1], seen)} if len(args) == 2 else {"type": "object"}
    if origin is typing.Literal:
        return {"enum": list(args)}
    if _is_enum(hint):
        return {"enum": [each.value for each in hint]}
    return {}
