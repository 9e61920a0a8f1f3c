"""Declared inputs and outputs, against random values: a value fits or is refused with the path of the element, and nothing else ever happens."""

import json
import random
import unittest
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Union

import harness  # noqa: F401 - finds the SDK

from tenon import CSV, UUID, AsIs, Bool, Date, DateTime, Decimal, DictList, Float, Int, Nested, Text, payloads
from tenon import Dict as DictElem
from tenon import List as ListElem
from tenon.convert import Invalid
from tenon.declare import declarations
from tenon.elements import Elem, Elements, elements_of
from tenon.model import Model, converter_of, dataclass

ROUNDS = 300
ODD_VALUES: List[Any] = [
    None, True, False, 0, -1, 2**63, 10**30, -(10**200), 0.5, -0.0, 1e308, 5e-324, "", " ", "x", "true", "12", "1.5", "1_0", "NaN", "1e999", "-", "ä𝄞",
    "\ud800", "2024-02-29", "2023-02-29", "2024-02-29T10:00:00Z", "a81bc81b-dead-4e5d-abff-90865d1e13b1", "9" * 5000, [], [[]], [None], {}, {"": ""}, {"a": {"a": 1}},
    ["a", 1, None], "a,b,,c", {"name": {"name": []}}, "0x10", "١٢", "1e400000", "1E+999999999",
]  # fmt: skip


def odd_value(rng: random.Random, depth: int = 0) -> Any:
    """Anything that JSON can be."""
    if depth < 4 and rng.random() < 0.3:
        if rng.random() < 0.5:
            return [odd_value(rng, depth + 1) for _ in range(rng.randrange(4))]
        return {rng.choice("abcdefgh"): odd_value(rng, depth + 1) for _ in range(rng.randrange(4))}
    return rng.choice(ODD_VALUES)


class Kind(NamedTuple):
    """A type of element, values that fit, and values that don't."""

    make: Callable[..., Elem]
    fitting: List[Any]
    wrong: List[Any]


KINDS = [
    Kind(Text, ["a", "", 5, 1.5, True], [[], {}, ["a"]]),
    Kind(Int, [5, "5", -3, "0", 7.0, 10**20], ["x", 1.5, True, [], {}, "1_0"]),
    Kind(Float, [1.5, "2.5", 3, "-1e3"], ["x", "NaN", "1e999", [], False, 10**400]),
    Kind(Bool, [True, False, "true", "off", 1, 0], ["maybe", [], {}, 2, 0.5]),
    Kind(Decimal, ["1.50", 3, 1.25], ["x", "NaN", "Infinity", "1e999999", [], True]),
    Kind(Date, ["2024-02-29"], ["2023-02-29", "May", 5, [], True]),
    Kind(DateTime, ["2024-02-29T10:00:00", "2024-02-29T10:00:00Z"], ["noon", 5, {}, True]),
    Kind(UUID, ["a81bc81b-dead-4e5d-abff-90865d1e13b1"], ["a81b", 5, [], True]),
    Kind(CSV, ["a,b", ["a"], "", 5], [{}, True]),
    Kind(ListElem, [[], [1, "a"]], ["a", {}, 5]),
    Kind(DictElem, [{}, {"a": [1]}], ["a", [], 5]),
    Kind(DictList, [[], [{}, {"a": 1}]], ["a", {}, 5]),
    Kind(AsIs, ["a", 5, [], {}], []),
]
Place = Tuple[Union[str, int], ...]


def path_of(place: Place) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f"/{step}" for step in place)


class Declared:
    """A random declaration with a value that fits it, and the places in it."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.places: List[Tuple[Place, Optional[Kind]]] = []
        self.elements, self.value = self._elements((), 0)

    def _elements(self, place: Place, depth: int) -> Tuple[List[Elem], Dict[str, Any]]:
        elements: List[Elem] = []
        value: Dict[str, Any] = {}
        for name in self.rng.sample("abcdefgh", self.rng.randint(1, 4)):
            here = (*place, name)
            choice = self.rng.random()
            if depth < 3 and choice < 0.2:
                nested, value[name] = self._elements(here, depth + 1)
                elements.append(Nested(name, *nested))
                self.places.append((here, None))
            elif depth < 3 and choice < 0.4:
                # Every item has the elements of the first, so only its places are known.
                nested, item = self._elements((*here, 0), depth + 1)
                elements.append(DictList(name, *nested))
                value[name] = [item]
                self.places.append((here, None))
            else:
                kind = self.rng.choice(KINDS)
                elements.append(kind.make(name))
                value[name] = self.rng.choice(kind.fitting)
                self.places.append((here, kind))
        return elements, value

    def broken(self) -> Optional[Tuple[Any, str]]:
        """The value with one thing wrong in it, and the path of that."""
        place, kind = self.rng.choice(self.places)
        value = json.loads(json.dumps(self.value))
        holder = value
        for step in place[:-1]:
            holder = holder[step]
        wrong = kind.wrong if kind is not None else ["x", 5, True]
        if self.rng.random() < 0.5 or not wrong:
            del holder[place[-1]]
        else:
            holder[place[-1]] = self.rng.choice(wrong)
        return value, path_of(place)


class RandomDeclarations(unittest.TestCase):
    def test_what_fits_is_read_and_written_as_json(self) -> None:
        rng = random.Random(1)
        for _ in range(ROUNDS):
            declared = Declared(rng)
            elements = Elements(declared.elements)
            read = elements.read(declared.value)
            self.assertEqual(set(read), set(declared.value))
            json.loads(payloads.dumps(elements.write(read)))

    def test_what_does_not_fit_is_named_by_its_path(self) -> None:
        rng = random.Random(2)
        for _ in range(ROUNDS):
            declared = Declared(rng)
            broken = declared.broken()
            assert broken is not None
            value, path = broken
            with self.assertRaises(Invalid) as raised:
                Elements(declared.elements).read(value)
            self.assertEqual(raised.exception.path, path, (declared.elements, value, raised.exception))
            self.assertEqual(raised.exception.status, 400)

    def test_nothing_but_invalid_is_raised_for_any_value(self) -> None:
        rng = random.Random(3)
        for _ in range(ROUNDS * 5):
            elements = Elements(Declared(rng).elements)
            value = odd_value(rng) if rng.random() < 0.3 else {name: odd_value(rng) for name in "abcdefgh"}
            try:
                read = elements.read(value)
            except Invalid as invalid:
                self.assertRegex(invalid.path, r"^(/|\[)")
                continue
            payloads.dumps(elements.write(read))

    def test_names_alone(self) -> None:
        rng = random.Random(4)
        names = ["name", "is_a", "-is_b", "a_count", "-read_timeout", "password", "-city"]
        for _ in range(ROUNDS):
            elements = Elements(elements_of(rng.sample(names, rng.randint(1, len(names)))))
            value = {name.lstrip("-"): odd_value(rng) for name in names if rng.random() < 0.8}
            try:
                payloads.dumps(elements.write(elements.read(value)))
            except Invalid as invalid:
                self.assertIn(invalid.path.split("/")[1].split("[")[0], [name.lstrip("-") for name in names])


@dataclass(init=False)
class Leaf(Model):
    number: int
    text: str
    flag: Optional[bool] = None


@dataclass(init=False)
class Tree(Model):
    leaf: Leaf
    leaves: List[Leaf]
    by_name: Dict[str, Leaf]
    either: Union[int, Leaf, None] = None
    children: "List[Tree]" = None  # type: ignore[assignment]


def leaf_value(rng: random.Random) -> Dict[str, Any]:
    return {"number": rng.choice([1, "2", 3.0]), "text": rng.choice(["a", ""])}


def tree_value(rng: random.Random, depth: int = 0) -> Dict[str, Any]:
    value: Dict[str, Any] = {
        "leaf": leaf_value(rng),
        "leaves": [leaf_value(rng) for _ in range(rng.randrange(3))],
        "by_name": {name: leaf_value(rng) for name in rng.sample("xyz", rng.randrange(3))},
        "children": [tree_value(rng, depth + 1) for _ in range(rng.randrange(3))] if depth < 3 else [],
    }
    return value


def leaves_of(value: Dict[str, Any], place: Place = ()) -> List[Place]:
    """Where a tree has its numbers."""
    found: List[Place] = [(*place, "leaf", "number")]
    found += [(*place, "leaves", index, "number") for index in range(len(value["leaves"]))]
    found += [(*place, "by_name", name, "number") for name in value["by_name"]]
    for index, child in enumerate(value["children"]):
        found += leaves_of(child, (*place, "children", index))
    return found


class RandomModels(unittest.TestCase):
    def test_what_fits_comes_back(self) -> None:
        rng = random.Random(5)
        for _ in range(ROUNDS):
            value = tree_value(rng)
            tree = Tree.from_dict(value)
            again = Tree.from_dict(json.loads(tree.to_json()))
            self.assertEqual(again.to_dict(), tree.to_dict())
            self.assertEqual(tree.clone().to_dict(), tree.to_dict())

    def test_what_does_not_fit_is_named_by_its_path(self) -> None:
        rng = random.Random(6)
        for _ in range(ROUNDS):
            value = tree_value(rng)
            place = rng.choice(leaves_of(value))
            holder: Any = value
            for step in place[:-1]:
                holder = holder[step]
            if rng.random() < 0.5:
                del holder["number"]
            else:
                holder["number"] = rng.choice(["x", None, [], {}, True, 1.5])
            with self.assertRaises(Invalid) as raised:
                Tree.from_dict(value)
            self.assertEqual(raised.exception.path, path_of(place))

    def test_nothing_but_invalid_is_raised_for_any_value(self) -> None:
        rng = random.Random(7)
        names = ["leaf", "leaves", "by_name", "either", "children", "number", "text", "flag"]
        for _ in range(ROUNDS * 5):
            value = {name: odd_value(rng) for name in rng.sample(names, rng.randrange(len(names)))} if rng.random() < 0.7 else odd_value(rng)
            for hint in (Tree, List[Tree], Dict[str, Tree], Optional[Leaf], List[List[Leaf]]):
                try:
                    converter_of(hint)(value, "")
                except Invalid:
                    continue


class Mistakes(unittest.TestCase):
    def test_declarations_that_make_no_sense_are_refused_at_once(self) -> None:
        for declared in (("a", "a"), (5,), ("a", None), int, "-", object()):
            with self.subTest(declared), self.assertRaises(TypeError):
                declarations(type("Wrong", (), {"input": declared}))

    def test_elements_that_two_services_share_stay_as_they_are(self) -> None:
        shared = Int("a")
        nested = type("SimpleIO", (), {"input_optional": (shared,), "default_value": 7})
        first, _ = declarations(type("First", (), {"SimpleIO": nested}))
        second, _ = declarations(type("Second", (), {"input": shared}))
        assert first is not None and second is not None
        self.assertEqual(first.read({}), {"a": 7})
        with self.assertRaises(Invalid):
            second.read({})


if __name__ == "__main__":
    unittest.main()
