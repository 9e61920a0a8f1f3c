"""The base class of services, models and elements, as existing service files import them."""

from typing import TYPE_CHECKING, Any

from tenon import (
    CSV,
    UTC,
    UUID,
    AsIs,
    Bool,
    Boolean,
    Bunch,
    Date,
    DateTime,
    Decimal,
    Dict,
    DictList,
    Elem,
    Float,
    ForceType,
    Int,
    Integer,
    List,
    ListOfDicts,
    Nested,
    Opaque,
    Secret,
    Service,
    Text,
    Unicode,
)
from tenon.context import Request
from tenon.http_request import HttpRequest as HTTPRequestData
from tenon.response import Response
from zato.common.pubsub import PubSubMessage

if TYPE_CHECKING:
    from tenon import Model, RESTAdapter, dataclass, field

SimpleIOElem = SIOElem = Elem
NOT_GIVEN = "ZATO_NOT_GIVEN"

_LATE = ("Model", "dataclass", "field", "RESTAdapter")
_ELSEWHERE = {
    **dict.fromkeys(("CACHE", "CHANNEL", "DATA_FORMAT", "NO_DEFAULT_VALUE", "PARAMS_PRIORITY", "PUBSUB", "SCHEDULER", "URL_TYPE"), "zato.common.api"),
    **dict.fromkeys(("BadRequest", "Forbidden", "Inactive", "NotFound", "Reportable", "ZatoException"), "zato.common.exception"),
    **dict.fromkeys(("bunchify", "unbunchify"), "zato.bunch"),
    **dict.fromkeys(("dumps", "loads"), "zato.common.json_internal"),
    **dict.fromkeys(("new_cid", "spawn_greenlet"), "zato.common.util.api"),
    "ModelCtx": "zato.common.marshal_.api",
}
"""What service files import from here although it is at home elsewhere."""
_NOT_HERE = (
    "BusinessCentralAdapter",
    "DataverseClient",
    "ODataAdapter",
    "PubSubHook",
    "SAPAdapter",
    "SOAPAdapter",
    "WSXAdapter",
    "WSXHook",
)


def __getattr__(name: str) -> Any:
    # As in `tenon`: only services with models and adapters pay for them.
    if name in _LATE:
        import tenon

        return getattr(tenon, name)
    if name in _NOT_HERE:
        raise AttributeError(f"there is no '{name}' in Tenon")
    if name in _ELSEWHERE:
        from importlib import import_module

        return getattr(import_module(_ELSEWHERE[name]), name)
    raise AttributeError(f"module 'zato.server.service' has no attribute '{name}'")


__all__ = [
    "CSV",
    "UTC",
    "UUID",
    "AsIs",
    "Bool",
    "Boolean",
    "Bunch",
    "Date",
    "DateTime",
    "Decimal",
    "Dict",
    "DictList",
    "Elem",
    "Float",
    "ForceType",
    "HTTPRequestData",
    "Int",
    "Integer",
    "List",
    "ListOfDicts",
    "Model",
    "Nested",
    "Opaque",
    "PubSubMessage",
    "RESTAdapter",
    "Request",
    "Response",
    "Secret",
    "Service",
    "SimpleIOElem",
    "Text",
    "Unicode",
    "dataclass",
    "field",
]
