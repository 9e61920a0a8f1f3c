"""Dataclasses, as existing service files import them."""

from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass

__all__ = ["MISSING", "asdict", "dataclass", "field", "fields", "is_dataclass"]
