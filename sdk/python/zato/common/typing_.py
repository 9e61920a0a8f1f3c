"""Short names of types, as existing service files import them."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING as TYPE_CHECKING
from typing import (
    Any,
    Callable,
    ClassVar,
    Dict,
    Generator,
    Iterable,
    Iterator,
    List,
    Literal,
    Optional,
    Set,
    Tuple,
    Type,
    TypeVar,
    Union,
    cast,
)

any_ = Any
callable_ = Callable[..., Any]
cast_ = cast
classvar = ClassVar
class_ = type_ = Type
date_ = date
datetime_ = dtime = datetime
dict_ = Dict
generator_ = Generator
iter_ = Iterable
iterator_ = Iterator
list_ = List
literal = literal_ = Literal
optional = Optional
set_ = Set
tuple_ = Tuple  # type: ignore[type-arg]
typevar_ = TypeVar
union_ = Union

anydict = Dict[Any, Any]
anylist = List[Any]
anyset = Set[Any]
anytuple = Tuple[Any, ...]
anydictnone = Optional[Dict[Any, Any]]
anylistnone = Optional[List[Any]]
anynone = Optional[Any]
boolnone = Optional[bool]
bytesnone = Optional[bytes]
callnone = Optional[Callable[..., Any]]
dictlist = List[Dict[str, Any]]
dictnone = Optional[Dict[str, Any]]
dtnone = datetimez = Optional[datetime]
floatnone = Optional[float]
intdict = Dict[int, int]
intlist = List[int]
intlistnone = Optional[List[int]]
intnone = Optional[int]
intset = Set[int]
listnone = Optional[List[Any]]
stranydict = Dict[str, Any]
strbytes = Union[str, bytes]
strdict = Dict[str, Any]
strdictnone = Optional[Dict[str, Any]]
strdictlist = List[Dict[str, Any]]
strintdict = Dict[str, int]
strlist = List[str]
strlistdict = Dict[str, List[str]]
strlistnone = Optional[List[str]]
strnone = Optional[str]
strset = Set[str]
strstrdict = Dict[str, str]
strtuple = Tuple[str, ...]


def list_field() -> Any:
    """A field of a model whose default is an empty list."""
    return field(default_factory=list)


def dict_field() -> Any:
    """A field of a model whose default is an empty dict."""
    return field(default_factory=dict)


def set_field() -> Any:
    """A field of a model whose default is an empty set."""
    return field(default_factory=set)


__all__ = [name for name in dir() if not name.startswith("__")]
