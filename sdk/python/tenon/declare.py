"""Declarations of inputs and outputs: strings, elements and models, and what becomes of them.

A service declares them as the attributes `input` and `output`, or in a nested class `SimpleIO`, whose output is wrapped.
"""

from typing import Any, Dict, List, Optional, Tuple, Union

from .elements import NO_DEFAULT, Elem, Elements, elements_of, optional_elements_of, with_options


class Typed:
    """A declaration made of a model, or of a list of models."""

    wrapper = ""
    wants_service = True

    def __init__(self, hint: Any) -> None:
        from .model import converter_of, is_model, schema_of

        self._read = converter_of(hint)
        self.wants_object = is_model(hint)
        self._schema = schema_of(hint)

    def read(self, data: Any, path: str = "") -> Any:
        return self._read(data, path)

    def speaks_of(self, data: Any) -> bool:
        return True

    def write(self, data: Any, path: str = "") -> Any:
        # The model of an output documents it; what a service sets is not checked a second time.
        return data

    def schema(self) -> Dict[str, Any]:
        return self._schema


Declaration = Union[Elements, Typed]


def _is_typed(declared: Any) -> bool:
    """Whether a declaration is a model or a generic type such as a list of models."""
    if isinstance(declared, type) and not hasattr(declared, "__origin__"):
        if not hasattr(declared, "from_dict"):
            raise TypeError(f"input and output are names, elements or a Model; {declared.__name__} is no Model")
        return True
    return hasattr(declared, "__origin__")


def _is_nothing(declared: Any) -> bool:
    return declared is None or (isinstance(declared, (str, tuple, list)) and not declared)


def _declaration(declared: Any) -> Optional[Declaration]:
    if _is_nothing(declared):
        return None
    if isinstance(declared, (tuple, list)) and len(declared) == 1 and not isinstance(declared[0], (str, Elem)):
        # 'input = Order,' is meant as 'input = Order'.
        declared = declared[0]
    return Typed(declared) if _is_typed(declared) else Elements(elements_of(declared))


def declarations(service: type) -> Tuple[Optional[Declaration], Optional[Declaration]]:
    """The input and output that a service class declares, as attributes or in a nested class SimpleIO."""
    declared_input, declared_output = (getattr(service, side, None) for side in ("input", "output"))
    nested = getattr(service, "SimpleIO", None)
    if nested is None or not (_is_nothing(declared_input) and _is_nothing(declared_output)):
        return _declaration(declared_input), _declaration(declared_output)
    return _input_of(nested), _output_of(nested)


def _input_of(nested: type) -> Optional[Declaration]:
    elements = _elements_of_side(nested, "input")
    if not isinstance(elements, list):
        return Typed(elements)
    return Elements(with_options(elements, _default_of(nested, "input"))) if elements else None


def _output_of(nested: type) -> Optional[Declaration]:
    elements = _elements_of_side(nested, "output")
    if not isinstance(elements, list):
        return Typed(elements)
    if not elements:
        return None
    skipped = _skipped_of(nested, elements)
    wrapper = getattr(nested, "response_elem", "response") or ""
    default = _default_of(nested, "output")
    if default is NO_DEFAULT and getattr(nested, "skip_empty_keys", None) is False:
        default = ""
    return Elements(with_options(elements, default), wrapper, frozenset(skipped))


def _elements_of_side(nested: type, side: str) -> Any:
    """The elements of one side of a class SimpleIO, or its model."""
    plain = getattr(nested, side, None)
    if not _is_nothing(plain):
        return plain if _is_typed(plain) else elements_of(plain)
    elements: List[Elem] = elements_of(getattr(nested, f"{side}_required", ()))
    return elements + optional_elements_of(getattr(nested, f"{side}_optional", ()))


def _default_of(nested: type, side: str) -> Any:
    """What absent optional elements are, if the class says so."""
    for name in (f"default_{side}_value", "default_value"):
        value = getattr(nested, name, NO_DEFAULT)
        if value is not NO_DEFAULT:
            return value
    return NO_DEFAULT


def _skipped_of(nested: type, elements: List[Elem]) -> List[str]:
    """Optional elements that are left out of the output when they are empty."""
    wanted = getattr(nested, "skip_empty_keys", False)
    options = getattr(nested, "SkipEmpty", None)
    if options is not None:
        wanted = wanted or getattr(options, "output", False) or getattr(options, "output_def", False)
    kept = _names(getattr(nested, "force_empty_keys", ())) | _names(getattr(options, "force_empty_output", ()))
    optional = [each.name for each in elements if not each.is_required and each.name not in kept]
    if wanted is True or not wanted:
        return optional if wanted else []
    named = _names(wanted)
    return [name for name in optional if name in named]


def _names(declared: Any) -> "frozenset[str]":
    if not declared or declared is True:
        return frozenset()
    return frozenset(each.name for each in elements_of(declared))
