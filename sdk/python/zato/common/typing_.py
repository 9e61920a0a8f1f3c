"""Short names of types, as existing service files import them."""

from dataclasses import MISSING, FrozenInstanceError, InitVar, asdict, astuple, dataclass, field, fields, is_dataclass, make_dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from io import BytesIO, StringIO
from pathlib import Path
from types import ModuleType
from typing import (
    IO,
    Any,
    BinaryIO,
    Callable,
    ClassVar,
    Dict,
    Generator,
    Generic,
    Iterable,
    Iterator,
    List,
    Literal,
    NamedTuple,
    NoReturn,
    Optional,
    Protocol,
    Sequence,
    Set,
    TextIO,
    Tuple,
    Type,
    TypedDict,
    TypeVar,
    Union,
    cast,
)
from typing import TYPE_CHECKING as TYPE_CHECKING

any_ = Any
binaryio_ = BinaryIO
bytesio_ = BytesIO
callable_ = Callable[..., Any]
module_ = ModuleType
path_ = Path
pathlist = List[Path]
model = Type[Any]
modelnone = Optional[Type[Any]]
str_ = str
typealias_ = Any
decimal_ = Decimal
cast_ = cast
classvar = ClassVar
class_ = type_ = Type
date_ = date
datetime_ = dtime = datetime
dict_ = Dict
func_ = Callable[..., Any]
generator_ = Generator
generic_ = Generic
io_ = IO
iobytes_ = IO[bytes]
iter_ = Iterable
iterator_ = Iterator
list_ = List
named_tuple_ = namedtuple_ = NamedTuple
noreturn = NoReturn
protocol = Protocol
sequence_ = Sequence
stringio_ = StringIO
textio_ = TextIO
timedelta_ = timedelta
typedict = TypedDict
literal = literal_ = Literal
optional = Optional
set_ = Set
tuple_ = Tuple  # type: ignore[type-arg]
typevar_ = TypeVar
union_ = Union

anydict = commondict = dictany = Dict[Any, Any]
anygen = Generator[Any, Any, Any]
anyiter = commoniter = Iterable[Any]
anylist = List[Any]
anyset = Set[Any]
anytuple = Tuple[Any, ...]
anydictnone = Optional[Dict[Any, Any]]
anylistnone = Optional[List[Any]]
listtuple = Tuple[List[Any], List[Any]]
anynone = Optional[Any]
booldict = Dict[str, bool]
boolnone = Optional[bool]
byteslist = List[bytes]
bytesnone = Optional[bytes]
calldict = Dict[str, Callable[..., Any]]
calllist = List[Callable[..., Any]]
callnone = Optional[Callable[..., Any]]
dictlist = List[Dict[str, Any]]
dictorlist = Union[Dict[str, Any], List[Any]]
dictnone = Optional[Dict[str, Any]]
dtnone = datetimez = Optional[datetime]
decnone = decimalnone = Optional[Decimal]
floatnone = Optional[float]
floatlist = List[float]
intanydict = Dict[int, Any]
intdict = Dict[int, int]
intdictdict = Dict[int, Dict[str, Any]]
intlistempty = List[Optional[int]]
intlistdict = Dict[int, List[Any]]
intlist = List[int]
intlistnone = Optional[List[int]]
intnone = Optional[int]
intset = Set[int]
intsetdict = Dict[int, Set[int]]
intstrdict = Dict[int, str]
listdict = Dict[str, List[Any]]
listorany = Any
listorstr = strorlist = Union[str, List[Any]]
strorlistnone = Optional[Union[str, List[Any]]]
listnone = Optional[List[Any]]
stranydict = Dict[str, Any]
strbool = Union[str, bool]
strbooldict = Dict[str, bool]
strboolnone = Optional[Union[str, bool]]
strbytes = Union[str, bytes]
strcalldict = Dict[str, Callable[..., Any]]
strdictdict = Dict[str, Dict[str, Any]]
strfloatdict = Dict[str, float]
strint = Union[str, int]
strintbool = Union[str, int, bool]
strintlist = List[Union[str, int]]
strintnone = Optional[Union[str, int]]
stritems = Iterable[Tuple[str, Any]]
strdict = Dict[str, Any]
strdictnone = Optional[Dict[str, Any]]
strdictlist = List[Dict[str, Any]]
strintdict = Dict[str, int]
strlist = List[str]
strlistempty = List[Optional[str]]
strlistdict = Dict[str, List[str]]
strordict = Union[str, Dict[str, Any]]
strordictnone = Optional[Union[str, Dict[str, Any]]]
strorfloat = Union[str, float]
stroriter = Union[str, Iterable[Any]]
strlistnone = Optional[List[str]]
strnone = Optional[str]
strset = Set[str]
strstrdict = Dict[str, str]
strsetdict = Dict[str, Set[str]]
textionone = Optional[TextIO]
tuplist = Union[List[Any], Tuple[Any, ...]]
tupnone = tuplenone = Optional[Tuple[Any, ...]]
strtuplelist = List[Tuple[str, ...]]
strtuple = Tuple[str, ...]


def instance_from_dict(class_: Any, data: Dict[str, Any]) -> Any:
    """An instance of a class with the values of a dict as its attributes."""
    instance = class_()
    for name, value in data.items():
        setattr(instance, name, value)
    return instance


def is_union(elem: Any) -> bool:
    """Whether a type is one of several."""
    return getattr(elem, "__origin__", None) is Union


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
