"""Elements of inputs and outputs: a name, a type, and whether it has to be there.

A string is the name of an element, optional if it begins with a dash; its type follows from its name: `is_`, `has_` and so on
are booleans, `…_count` and `…_timeout` whole numbers, everything else is text.
"""

from copy import copy
from functools import partial
from typing import Any, Callable, ClassVar, Dict, FrozenSet, List, Optional

from . import convert, payloads
from .bunch import Bunch
from .convert import Converter, Invalid, Missing

BOOL_PREFIXES = ("by_", "has_", "is_", "may_", "needs_", "should_")
INT_SUFFIXES = ("_count", "_timeout")
SECRET_NAMES = frozenset(("password", "token", "secret_key", "auth_token", "auth_data", "tls_pem_passphrase", "api_key", "apiKey", "xApiKey"))
NO_DEFAULT: Any = type("NoDefault", (), {"__repr__": lambda self: "<no default>", "__bool__": lambda self: False})()
"""Says that an element has no default, as None is one."""


class Elem:
    """An element of an input or output: `Elem('name')`, optional as `Elem('-name')` or with a default."""

    read: Converter = staticmethod(convert.as_is)
    """What makes of a value that came in what the service gets."""
    absent: Any = ""
    """What the service gets if an optional element is absent."""
    schema: ClassVar[Dict[str, Any]] = {}
    """The type as JSON Schema."""

    def __init__(self, name: str, *args: Any, default: Any = NO_DEFAULT, **kwargs: Any) -> None:
        self.is_required = not name.startswith("-")
        self.name = name.lstrip("-").strip()
        if not self.name:
            raise TypeError("an element of input or output has no name")
        self.has_default = default is not NO_DEFAULT
        self.default = default if self.has_default else self.absent
        if self.has_default:
            self.is_required = False

    def write(self, value: Any, path: str) -> Any:
        """What makes of a value of the service what goes out."""
        return value

    def described(self) -> Dict[str, Any]:
        """The element as JSON Schema."""
        return dict(self.schema)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'' if self.is_required else '-'}{self.name})"


class AsIs(Elem):
    """Any value, as it is."""


class Opaque(AsIs):
    """Any value, as it is."""


class ForceType(AsIs):
    """Any value, as it is."""


class Text(Elem):
    """Text."""

    read = staticmethod(convert.to_text)
    schema: ClassVar[Dict[str, Any]] = {"type": "string"}

    def write(self, value: Any, path: str) -> Any:
        if value is None or isinstance(value, str):
            return value
        is_plain = hasattr(value, "isoformat") or isinstance(value, (bytes, bytearray, memoryview))
        return str(payloads.plain(value) if is_plain else value)


class Untyped(Text):
    """An element given by its name only: text, but objects and arrays stay what they are."""

    read = staticmethod(convert.to_text_or_structure)
    schema: ClassVar[Dict[str, Any]] = {}

    def write(self, value: Any, path: str) -> Any:
        return value if isinstance(value, (dict, list, tuple)) or hasattr(value, "to_dict") else super().write(value, path)


class Unicode(Text):
    """Text."""


class UTC(Text):
    """A time, as text."""


class Secret(Text):
    """Text that is never logged."""


class Int(Elem):
    """A whole number."""

    read = staticmethod(convert.to_int)
    schema: ClassVar[Dict[str, Any]] = {"type": "integer"}

    def write(self, value: Any, path: str) -> Any:
        return value if value is None or value == "" else convert.to_int(_plain_number(value), path)


class Integer(Int):
    """A whole number."""


class Bool(Elem):
    """A boolean."""

    read = staticmethod(convert.to_bool)
    absent = False
    schema: ClassVar[Dict[str, Any]] = {"type": "boolean"}

    def write(self, value: Any, path: str) -> Any:
        return value if value is None else convert.to_bool(value, path)


class Boolean(Bool):
    """A boolean."""


class Float(Elem):
    """A number."""

    read = staticmethod(convert.to_float)
    schema: ClassVar[Dict[str, Any]] = {"type": "number"}

    def write(self, value: Any, path: str) -> Any:
        return value if value is None or value == "" else convert.to_float(_plain_number(value), path)


class Decimal(Elem):
    """A decimal number."""

    read = staticmethod(convert.to_decimal)
    schema: ClassVar[Dict[str, Any]] = {"type": "number"}

    def write(self, value: Any, path: str) -> Any:
        return value if value is None or value == "" else convert.to_decimal(value, path)


class DateTime(Elem):
    """A date and time in ISO 8601."""

    read = staticmethod(convert.to_datetime)
    schema: ClassVar[Dict[str, Any]] = {"type": "string", "format": "date-time"}


class Date(Elem):
    """A date in ISO 8601."""

    read = staticmethod(convert.to_date)
    schema: ClassVar[Dict[str, Any]] = {"type": "string", "format": "date"}


class UUID(Elem):
    """A UUID."""

    read = staticmethod(convert.to_uuid)
    schema: ClassVar[Dict[str, Any]] = {"type": "string", "format": "uuid"}


class List_(Elem):
    """An array."""

    read = staticmethod(convert.to_list)
    schema: ClassVar[Dict[str, Any]] = {"type": "array"}


class CSV(Elem):
    """A list, as an array or as text with commas."""

    read = staticmethod(convert.to_csv)
    schema: ClassVar[Dict[str, Any]] = {"type": "string"}

    def write(self, value: Any, path: str) -> Any:
        return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else value


class Dict_(Elem):
    """An object, with elements of its own if any are given: `Dict('customer', 'name', Int('-age'))`."""

    schema: ClassVar[Dict[str, Any]] = {"type": "object"}

    def __init__(self, name: str, *elems: Any, default: Any = NO_DEFAULT) -> None:
        super().__init__(name, default=default)
        self.elements = Elements(elements_of(elems)) if elems else None

    def read(self, value: Any, path: str) -> Any:
        return convert.to_dict(value, path) if self.elements is None else self.elements.read(value, path)

    def write(self, value: Any, path: str) -> Any:
        # An optional element that was absent from an input is an empty text, and may be passed on as that.
        return value if self.elements is None or value is None or value == "" else self.elements.write(value, path)

    def described(self) -> Dict[str, Any]:
        return dict(self.schema) if self.elements is None else self.elements.schema()


class Nested(Dict_):
    """An object with elements of its own: `Nested('customer', 'name', Int('-age'))`."""


class DictList(Dict_):
    """An array of objects, with elements of their own if any are given: `DictList('lines', 'sku', Int('quantity'))`."""

    schema: ClassVar[Dict[str, Any]] = {"type": "array", "items": {"type": "object"}}

    def read(self, value: Any, path: str) -> Any:
        if self.elements is None:
            return convert.to_dict_list(value, path)
        return [self.elements.read(item, f"{path}[{index}]") for index, item in enumerate(convert.to_list(value, path))]

    def described(self) -> Dict[str, Any]:
        return dict(self.schema) if self.elements is None else {"type": "array", "items": self.elements.schema()}


class ListOfDicts(DictList):
    """An array of objects."""


def _plain_number(value: Any) -> Any:
    return payloads.plain(value) if hasattr(value, "as_tuple") else value


def elem_of(declared: Any) -> Elem:
    """The element that a string or element declares."""
    if isinstance(declared, Elem):
        return declared
    if not isinstance(declared, str):
        raise TypeError(f"an element of input or output is a name, an element such as Int('x') or a Model, not {declared!r}")
    declared = declared.strip()
    name = declared.lstrip("-").strip()
    if name.startswith(BOOL_PREFIXES):
        return Bool(declared)
    if name.endswith(INT_SUFFIXES):
        return Int(declared)
    if name in SECRET_NAMES:
        return Secret(declared)
    return Untyped(declared)


def elements_of(declared: Any) -> List[Elem]:
    """The elements of a declaration that is a string, an element, or several of them."""
    if isinstance(declared, str):
        # 'a, -b' is the same as ('a', '-b').
        declared = [each for each in declared.replace(",", " ").split() if each]
    elif isinstance(declared, Elem):
        declared = [declared]
    elements = [elem_of(each) for each in declared]
    names = [each.name for each in elements]
    for name in names:
        if names.count(name) > 1:
            raise TypeError(f"element '{name}' is declared twice")
    return elements


class Elements:
    """A declaration made of elements."""

    wants_service = False
    """Whether reading it needs the service that reads."""

    def __init__(self, elements: List[Elem], wrapper: str = "", skip_empty: FrozenSet[str] = frozenset()) -> None:
        self.wrapper = wrapper
        """The member of the answer that the output is put into; empty if it is the answer."""
        self.secrets = frozenset(each.name for each in elements if isinstance(each, Secret))
        """Names of elements that no log may have."""
        self._elements = elements
        self._skip_empty = skip_empty
        # Text, as most elements are, needs no conversion if it is text already.
        self._readers = [(each.name, each.read, isinstance(each, Text), each.is_required, each.default) for each in elements]
        self._writers = [(each.name, each.write, isinstance(each, Text), each.is_required, each.has_default, each.default) for each in elements]

    def read(self, data: Any, path: str = "") -> Bunch:
        """The input as the service gets it."""
        if not isinstance(data, dict):
            raise Invalid(path, f"expected an object, found {convert.kind(data)}")
        values = Bunch()
        for name, read, is_text, is_required, default in self._readers:
            if name in data:
                value = data[name]
                if is_text and type(value) is str:
                    values[name] = value
                else:
                    values[name] = None if value is None else read(value, f"{path}/{name}")
            elif is_required:
                raise Missing(f"{path}/{name}")
            else:
                values[name] = default
        return values

    def speaks_of(self, data: Any) -> bool:
        """Whether any of the elements is in a dict; what goes with a status of an error may be something else."""
        return not isinstance(data, dict) or any(writer[0] in data for writer in self._writers)

    def write(self, data: Any, path: str = "") -> Any:
        """The output as the caller gets it; elements that are not declared are left out. ValueError if it is not as declared."""
        try:
            return self._write(data, path)
        except Invalid as error:
            # Not the caller's mistake.
            raise ValueError(f"the service set the output element '{error.path}' wrongly: {error.wrong}") from None

    def _write(self, data: Any, path: str) -> Any:
        if isinstance(data, (list, tuple)):
            return [self._write(item, f"{path}[{index}]") for index, item in enumerate(data)]
        get: Callable[[str, Any], Any] = data.get if isinstance(data, dict) else partial(getattr, data)
        values = {}
        for name, write, is_text, is_required, has_default, default in self._writers:
            value = get(name, NO_DEFAULT)
            if is_text and type(value) is str:
                values[name] = value
            elif value is not NO_DEFAULT:
                values[name] = write(value, f"{path}/{name}")
            elif has_default:
                values[name] = default
            elif is_required:
                raise ValueError(f"the service declares the output element '{path}/{name}', but did not set it")
        if self._skip_empty:
            return {name: value for name, value in values.items() if name not in self._skip_empty or (value is not None and value != "")}
        return values

    def schema(self) -> Dict[str, Any]:
        """The declaration as JSON Schema."""
        schema: Dict[str, Any] = {"type": "object", "properties": {each.name: each.described() for each in self._elements}}
        required = [each.name for each in self._elements if each.is_required]
        if required:
            schema["required"] = required
        return {"type": "object", "properties": {self.wrapper: schema}} if self.wrapper else schema


def with_options(elements: List[Elem], default: Any = NO_DEFAULT) -> List[Elem]:
    """Elements whose optional ones have this default if they have none of their own."""
    if default is NO_DEFAULT:
        return elements
    changed = [each if each.is_required or each.has_default else copy(each) for each in elements]
    for each in changed:
        if not each.is_required and not each.has_default:
            each.has_default, each.default = True, default
    return changed


def optional_elements_of(declared: Any) -> List[Elem]:
    """The elements of a declaration, all of them optional."""
    # Copies, as a file may use one element in several declarations.
    elements = [copy(each) for each in elements_of(declared)]
    for each in elements:
        each.is_required = False
    return elements


def secrets_of(declaration: Optional[Any]) -> FrozenSet[str]:
    """Names of a declaration's elements that no log may have."""
    return getattr(declaration, "secrets", frozenset()) | SECRET_NAMES
