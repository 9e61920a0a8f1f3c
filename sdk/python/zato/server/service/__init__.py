"""The base class of services, models and elements, as existing service files import them."""

from typing import TYPE_CHECKING, Any

from tenon import (
    CSV,
    UTC,
    UUID,
    AsIs,
    Bool,
    Boolean,
    Date,
    DateTime,
    Decimal,
    Dict,
    DictList,
    Float,
    ForceType,
    Int,
    Integer,
    List,
    ListOfDicts,
    Nested,
    Opaque,
    Service,
    Text,
    Unicode,
)
from tenon.elements import Elem as SimpleIOElem

if TYPE_CHECKING:
    from tenon import Model, dataclass, field


def __getattr__(name: str) -> Any:
    # As in `tenon`: only services with models pay for them.
    if name in ("Model", "dataclass", "field"):
        import tenon

        return getattr(tenon, name)
    raise AttributeError(f"module 'zato.server.service' has no attribute '{name}'")


__all__ = [
    "CSV",
    "UTC",
    "UUID",
    "AsIs",
    "Bool",
    "Boolean",
    "Date",
    "DateTime",
    "Decimal",
    "Dict",
    "DictList",
    "Float",
    "ForceType",
    "Int",
    "Integer",
    "List",
    "ListOfDicts",
    "Model",
    "Nested",
    "Opaque",
    "Service",
    "SimpleIOElem",
    "Text",
    "Unicode",
    "dataclass",
    "field",
]
