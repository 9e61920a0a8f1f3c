"""What service authors import: `from tenon import Service`."""

from typing import TYPE_CHECKING, Any

from .bunch import Bunch
from .elements import CSV as CSV
from .elements import (
    UTC,
    UUID,
    AsIs,
    Bool,
    Boolean,
    Date,
    DateTime,
    Decimal,
    DictList,
    Elem,
    Float,
    ForceType,
    Int,
    Integer,
    ListOfDicts,
    Nested,
    Opaque,
    Secret,
    Text,
    Unicode,
)
from .elements import Dict_ as Dict
from .elements import List_ as List
from .errors import (
    BadRequest,
    Cancelled,
    Conflict,
    Forbidden,
    HostCallError,
    HostTimeout,
    InternalServerError,
    InvocationFailed,
    MethodNotAllowed,
    NotFound,
    OutgoingError,
    ServiceMissing,
    ServiceUnavailable,
    StatusError,
    TenonError,
    TooManyRequests,
    Unauthorized,
)
from .service import Service

if TYPE_CHECKING:
    from .adapter import RESTAdapter
    from .model import Model, dataclass, field

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Dataclasses cost a worker a tenth of its start and of its memory, so only those pay that declare models.
    if name in ("Model", "dataclass", "field"):
        from . import model

        return getattr(model, name)
    if name == "RESTAdapter":
        from .adapter import RESTAdapter

        return RESTAdapter
    raise AttributeError(f"module 'tenon' has no attribute '{name}'")


__all__ = [
    "CSV",
    "UTC",
    "UUID",
    "AsIs",
    "BadRequest",
    "Bool",
    "Boolean",
    "Bunch",
    "Cancelled",
    "Conflict",
    "Date",
    "DateTime",
    "Decimal",
    "Dict",
    "DictList",
    "Elem",
    "Float",
    "Forbidden",
    "ForceType",
    "HostCallError",
    "HostTimeout",
    "Int",
    "Integer",
    "InternalServerError",
    "InvocationFailed",
    "List",
    "ListOfDicts",
    "MethodNotAllowed",
    "Model",
    "Nested",
    "NotFound",
    "Opaque",
    "OutgoingError",
    "RESTAdapter",
    "Secret",
    "Service",
    "ServiceMissing",
    "ServiceUnavailable",
    "StatusError",
    "TenonError",
    "Text",
    "TooManyRequests",
    "Unauthorized",
    "Unicode",
    "dataclass",
    "field",
]
