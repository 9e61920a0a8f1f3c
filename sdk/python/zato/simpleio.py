"""Elements of inputs and outputs, as existing service files import them."""

from zato.server.service import CSV, UTC, UUID, AsIs, Bool, Date, DateTime, Decimal, Dict, DictList, Elem, Float, Int, List, Opaque, Secret, Text

__all__ = [
    "CSV",
    "UTC",
    "UUID",
    "AsIs",
    "Bool",
    "Date",
    "DateTime",
    "Decimal",
    "Dict",
    "DictList",
    "Elem",
    "Float",
    "Int",
    "List",
    "Opaque",
    "Secret",
]
__all__ += ["Text"]
