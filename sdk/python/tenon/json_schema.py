"""JSON Schema, as far as services name one for their input with `schema = 'file.json'`.

Of draft 2020-12 it knows the words for types, objects, arrays, numbers, texts, `enum`, `const`, `allOf`, `anyOf`, `oneOf`, `not`, and `$ref`
within the file. Words that it does not know mean nothing, as the standard has it.
"""

import os
import re
from typing import Any, Callable, Dict, List, Mapping, Tuple

from . import payloads
from .convert import Invalid, kind

_TYPES: Dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "integer": lambda value: not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer())),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}
_DEPTH_MAX = 100


def schema_of(service: Any, folder: str) -> "Schema":
    """The schema that a service names: a file below its folder, or the schema itself."""
    named = service.schema
    if isinstance(named, Mapping):
        return Schema(dict(named))
    if not isinstance(named, str):
        raise TypeError(f"schema is the name of a JSON file or a dict, not {named!r}")
    try:
        with open(os.path.join(folder, named), encoding="utf-8") as file:
            found = payloads.loads(file.read())
    except OSError as error:
        raise TypeError(f"the schema {named} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise TypeError(f"the schema {named} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise TypeError(f"the schema {named} is no object")
    return Schema(found)


class Schema:
    """A schema that values are checked against."""

    def __init__(self, root: Dict[str, Any]) -> None:
        self.root = root

    def check(self, value: Any) -> None:
        """Raises Invalid, with the path of the first element that does not fit."""
        self._check(self.root, value, "", 0)

    def _check(self, schema: Any, value: Any, path: str, depth: int) -> None:
        if schema is True:
            return
        if schema is False:
            raise Invalid(path, "it is not allowed")
        if depth > _DEPTH_MAX:
            raise Invalid(path, "it is nested too deeply")
        if "$ref" in schema:
            self._check(self._referred(str(schema["$ref"])), value, path, depth + 1)
        _check_type(schema, value, path)
        _check_choice(schema, value, path)
        if isinstance(value, dict):
            self._check_object(schema, value, path, depth)
        elif isinstance(value, list):
            self._check_array(schema, value, path, depth)
        elif isinstance(value, str):
            _check_text(schema, value, path)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            _check_number(schema, value, path)
        self._check_combined(schema, value, path, depth)

    def _referred(self, reference: str) -> Any:
        if not reference.startswith("#"):
            raise TypeError(f"$ref {reference} leads out of the schema")
        found: Any = self.root
        for part in filter(None, reference[1:].split("/")):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        return found

    def _check_object(self, schema: Mapping[str, Any], value: Dict[str, Any], path: str, depth: int) -> None:
        for name in schema.get("required", ()):
            if name not in value:
                raise Invalid(f"{path}/{name}", "the element is missing")
        _check_size(schema, len(value), path, "Properties", "elements")
        properties = schema.get("properties", {})
        patterns = schema.get("patternProperties", {})
        for name, item in value.items():
            below = f"{path}/{name}"
            matching = [patterns[pattern] for pattern in patterns if re.search(pattern, name)]
            if name in properties:
                matching.append(properties[name])
            for each in matching or [schema.get("additionalProperties", True)]:
                self._check(each, item, below, depth + 1)

    def _check_array(self, schema: Mapping[str, Any], value: List[Any], path: str, depth: int) -> None:
        _check_size(schema, len(value), path, "Items", "items")
        first = schema.get("prefixItems", ())
        for index, item in enumerate(value):
            self._check(first[index] if index < len(first) else schema.get("items", True), item, f"{path}[{index}]", depth + 1)
        if schema.get("uniqueItems"):
            texts = [payloads.dumps_text(item) for item in value]
            if len(set(texts)) < len(texts):
                raise Invalid(path, "items must not repeat")

    def _check_combined(self, schema: Mapping[str, Any], value: Any, path: str, depth: int) -> None:
        for each in schema.get("allOf", ()):
            self._check(each, value, path, depth + 1)
        for word in ("anyOf", "oneOf"):
            if word in schema:
                fitting = sum(self._fits(each, value, path, depth) for each in schema[word])
                if not fitting or (word == "oneOf" and fitting > 1):
                    raise Invalid(path, "it fits nothing that is allowed" if not fitting else "it fits more than one of what is allowed")
        if "not" in schema and self._fits(schema["not"], value, path, depth):
            raise Invalid(path, "it is not allowed")

    def _fits(self, schema: Any, value: Any, path: str, depth: int) -> bool:
        try:
            self._check(schema, value, path, depth + 1)
        except Invalid:
            return False
        return True


def _check_type(schema: Mapping[str, Any], value: Any, path: str) -> None:
    wanted = schema.get("type")
    if wanted is None:
        return
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    if not any(_TYPES[name](value) for name in names if name in _TYPES):
        raise Invalid(path, f"expected {' or '.join(names)}, found {kind(value)}")


def _check_choice(schema: Mapping[str, Any], value: Any, path: str) -> None:
    choices = [schema["const"]] if "const" in schema else schema.get("enum")
    if choices is not None and not any(type(each) is type(value) and each == value for each in choices):
        raise Invalid(path, f"expected one of {', '.join(map(repr, choices))}")


def _check_text(schema: Mapping[str, Any], value: str, path: str) -> None:
    _check_size(schema, len(value), path, "Length", "characters")
    pattern = schema.get("pattern")
    if pattern is not None and not re.search(pattern, value):
        raise Invalid(path, f"it does not fit the pattern {pattern}")


def _check_number(schema: Mapping[str, Any], value: Any, path: str) -> None:
    rules: Tuple[Tuple[str, Callable[[Any], bool], str], ...] = (
        ("minimum", lambda limit: value >= limit, "at least"),
        ("exclusiveMinimum", lambda limit: value > limit, "more than"),
        ("maximum", lambda limit: value <= limit, "at most"),
        ("exclusiveMaximum", lambda limit: value < limit, "less than"),
        ("multipleOf", lambda limit: value % limit == 0, "a multiple of"),
    )
    for word, fits, said in rules:
        if word in schema and not fits(schema[word]):
            raise Invalid(path, f"expected {said} {schema[word]}, found {value!r}")


def _check_size(schema: Mapping[str, Any], size: int, path: str, word: str, what: str) -> None:
    if size < schema.get(f"min{word}", 0):
        raise Invalid(path, f"expected at least {schema[f'min{word}']} {what}, found {size}")
    if size > schema.get(f"max{word}", size):
        raise Invalid(path, f"expected at most {schema[f'max{word}']} {what}, found {size}")
