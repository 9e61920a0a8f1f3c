"""Imports the service files below a root and finds the services in them.

A file that does not import, or whose services can't be used, is refused; its version below `.previous/` serves in its place
if there is one, for the files that import it too.
"""

import importlib
import os
import signal
import sys
import traceback
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from types import ModuleType
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set

from .entry import Entry, has_handler
from .names import default_name
from .service import Service

PREVIOUS = ".previous"
RESERVED = ("zato", "tenon")
"""What no name of a service may begin with."""
_TRACEBACK_LIMIT_CHARS = 32 << 10
_NAME_LIMIT_CHARS = 200
_HERE = os.path.dirname(os.path.abspath(__file__))


class Refused(NamedTuple):
    """A file that can't be used."""

    path: str
    error: str
    traceback: str
    kept_previous: bool


class UnusableFile(Exception):
    """A file imports, but what it says of its services can't be used."""


def one_line(error: BaseException) -> str:
    """An exception in one line."""
    if isinstance(error, SystemExit):
        return f"the file ends the process: SystemExit({error.code!r})"
    name = type(error).__name__
    try:
        message = str(error).strip().splitlines()
    except Exception:
        message = []
    if isinstance(error, (UnusableFile, ImportTimeout)):
        return message[0] if message else name
    if isinstance(error, SyntaxError):
        return f"{name}: {error.msg} (line {error.lineno})"
    return f"{name}: {message[0]}" if message else name


def traceback_of(error: BaseException) -> str:
    """The traceback of an exception without the frames of this package and of the import machinery."""
    shown = traceback.TracebackException.from_exception(error)
    _trim(shown)
    text = "".join(shown.format())
    if len(text) > _TRACEBACK_LIMIT_CHARS:
        text = f"{text[: _TRACEBACK_LIMIT_CHARS // 4]}\n…\n{text[-_TRACEBACK_LIMIT_CHARS * 3 // 4 :]}"
    return text


def _trim(shown: Optional[traceback.TracebackException], depth: int = 0) -> None:
    if shown is None or depth > 20:
        return
    shown.stack[:] = [
        frame for frame in shown.stack if not frame.filename.startswith(("<frozen importlib", _HERE)) and "/importlib/" not in frame.filename
    ]
    _trim(shown.__cause__, depth + 1)
    _trim(shown.__context__, depth + 1)


class ImportTimeout(BaseException):
    """A file takes too long to import. No `except Exception` of the file itself stops it."""


class Stopwatch:
    """Ends the import of a file that takes too long: a program that waits, or never returns, must not hold up the other files."""

    def __init__(self, limit_seconds: float) -> None:
        self._limit = limit_seconds
        self._known: Set[str] = set()
        self._running: List[str] = []

    def start(self) -> None:
        """Takes the alarm clock of the process, which is in nobody else's use before the services run."""
        if self._limit > 0:
            signal.signal(signal.SIGALRM, self._ring)

    def stop(self) -> None:
        """Gives the alarm clock back."""
        if self._limit > 0:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def begin(self, path: str) -> None:
        """A file is being run, maybe because another one imports it: that one's time stands still."""
        if path in self._known:
            raise self._timeout(path)
        self._running.append(path)
        self._wind()

    def end(self) -> None:
        """The file that was begun last has run, one way or another."""
        self._running.pop()
        self._wind()

    def _wind(self) -> None:
        if self._limit > 0:
            signal.setitimer(signal.ITIMER_REAL, self._limit if self._running else 0)

    def _ring(self, number: int, frame: Any) -> None:
        if self._running:
            self._known.add(self._running[-1])
            raise self._timeout(self._running[-1])

    def _timeout(self, path: str) -> ImportTimeout:
        return ImportTimeout(f"{path} does not end to import within {self._limit:g} seconds")


class Loader:
    """Imports what is below a root. Also a finder of modules, so that service files can import each other."""

    def __init__(self, root: str, import_timeout: float = 0.0) -> None:
        self.root = os.path.abspath(root)
        self.stopwatch = Stopwatch(import_timeout)
        self.entries: List[Entry] = []
        self.refused: Dict[str, Refused] = {}
        self._by_name: Dict[str, Entry] = {}
        self._modules: Dict[str, str] = {}

    def load(self) -> None:
        """Imports every file in sorted order."""
        paths = self._paths()
        for path in paths:
            self._modules[self._module_name(path)] = path
        sys.meta_path.insert(self._finder_index(), self)
        sys.meta_path.append(_Fallback())
        self._insert_root()
        self.stopwatch.start()
        for path in paths:
            self._load_file(path)
        self.stopwatch.stop()

    def _paths(self) -> List[str]:
        found = []
        for folder, folders, files in os.walk(self.root):
            folders[:] = sorted(each for each in folders if not each.startswith(".") and each != "__pycache__")
            for name in files:
                if name.endswith(".py") and not name.startswith("."):
                    found.append(os.path.relpath(os.path.join(folder, name), self.root))
        # A file may be gone for good from the folder and yet have a previous version: that one is not wanted any more.
        return sorted(path.replace(os.sep, "/") for path in found)

    def _insert_root(self) -> None:
        # Behind Python's own library, so that email.py hides nothing; before installed packages.
        own = [index for index, path in enumerate(sys.path) if "site-packages" in path or "dist-packages" in path]
        sys.path.insert(own[0] if own else len(sys.path), self.root)

    def _finder_index(self) -> int:
        # Behind the finders of built-in and frozen modules, before that of files.
        names = [getattr(finder, "__name__", type(finder).__name__) for finder in sys.meta_path]
        return names.index("PathFinder") if "PathFinder" in names else len(names)

    @staticmethod
    def _module_name(path: str) -> str:
        name = path[: -len(".py")].replace("/", ".")
        return name[: -len(".__init__")] if name.endswith(".__init__") else name

    def _hides(self, module: str) -> bool:
        """Whether a module has the name of one that is not below the root, such as Python's own email."""
        top = module.partition(".")[0]
        if top in ("tenon", "zato", "tenon_worker"):
            return True
        names = getattr(sys, "stdlib_module_names", None)
        if names is not None:
            return top in names
        loaded = sys.modules.get(top)
        if loaded is not None:
            paths = [getattr(loaded, "__file__", None) or "", *getattr(loaded, "__path__", ())]
            return not any(str(each).startswith(self.root) for each in paths)
        library = os.path.dirname(os.__file__)
        return os.path.exists(os.path.join(library, f"{top}.py")) or os.path.isdir(os.path.join(library, top))

    # What importlib asks of a finder.
    def find_spec(self, name: str, path: Optional[Sequence[str]] = None, target: Optional[ModuleType] = None) -> Optional[ModuleSpec]:
        """The spec of a module below the root."""
        file = self._modules.get(name)
        if file is None or self._hides(name):
            return None
        return self._spec(name, file)

    def _spec(self, name: str, path: str) -> Optional[ModuleSpec]:
        location = os.path.join(self.root, path)
        search = [os.path.dirname(location)] if path.endswith("__init__.py") else None
        return spec_from_file_location(name, location, loader=_FileLoader(name, location, path, self), submodule_search_locations=search)

    def refuse(self, path: str, error: BaseException, kept_previous: bool) -> None:
        """Notes that a file can't be used."""
        trace = "" if isinstance(error, UnusableFile) else traceback_of(error)
        self.refused[path] = Refused(path, one_line(error), trace, kept_previous)

    def previous_of(self, path: str) -> Optional[str]:
        """Where the last good version of a file is, if there is one."""
        previous = os.path.join(self.root, PREVIOUS, path)
        return previous if os.path.isfile(previous) else None

    def _load_file(self, path: str) -> None:
        name = self._module_name(path)
        try:
            module = self._import(name, path)
        except BaseException as error:
            self.refuse(path, error, kept_previous=False)
            return
        try:
            self._collect(module, path)
        except Exception as error:
            previous = None if path in self.refused else self.previous_of(path)
            if previous is None:
                self.refuse(path, error, kept_previous=False)
            else:
                self._fall_back(module, path, previous, error)

    def _fall_back(self, module: ModuleType, path: str, previous: str, error: BaseException) -> None:
        try:
            run_source(module, previous)
            self._collect(module, path)
        except BaseException:
            self.refuse(path, error, kept_previous=False)
        else:
            self.refuse(path, error, kept_previous=True)

    def _import(self, name: str, path: str) -> ModuleType:
        if not self._hides(name) and all(part.isidentifier() for part in name.split(".")):
            return importlib.import_module(name)
        # A name that no import statement can have, or that belongs to Python: private to this file.
        private = f"_service_{name}"
        spec = self._spec(private, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[private] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(private, None)
            raise
        return module

    def _collect(self, module: ModuleType, path: str) -> None:
        found: List[Entry] = []
        names: Dict[str, Entry] = dict(self._by_name)
        for cls in list(vars(module).values()):
            if not (isinstance(cls, type) and issubclass(cls, Service)) or cls.__module__ != module.__name__ or not has_handler(cls):
                continue
            if any(each.cls is cls for each in found) or getattr(cls, "__abstractmethods__", None):
                continue
            entry = self._entry(cls, path)
            other = names.get(entry.name)
            if other is not None:
                where = "the same file" if other.file == path else other.file
                raise UnusableFile(f"service '{entry.name}' of class {cls.__name__} exists already, as class {other.cls.__name__} in {where}")
            names[entry.name] = entry
            found.append(entry)
        for entry in found:
            self._prepare(entry)
        found = [entry for entry in found if _is_wanted(entry)]
        for entry in found:
            entry.index = len(self.entries)
            self.entries.append(entry)
            self._by_name[entry.name] = entry
            _tell(entry)

    def _entry(self, cls: type, path: str) -> Entry:
        module = self._module_name(path)
        own: Any = cls.__dict__.get("name", _name_of_method(cls))
        name = default_name(module, cls.__name__) if own is None else own
        if not isinstance(name, str) or not 0 < len(name) <= _NAME_LIMIT_CHARS or not name.isprintable() or " " in name:
            wanted = f"text without spaces, of 1 to {_NAME_LIMIT_CHARS} characters"
            raise UnusableFile(f"the name of class {cls.__name__} is {own!r}: it has to be {wanted}")
        if name.startswith(RESERVED):
            raise UnusableFile(f"the name of class {cls.__name__} is '{name}': names that begin with {' or '.join(RESERVED)} are reserved")
        try:
            return Entry(cls, name, path)
        except TypeError as error:
            raise UnusableFile(f"class {cls.__name__}: {error}") from error

    @staticmethod
    def _prepare(entry: Entry) -> None:
        import logging

        cls: Any = entry.cls
        cls.name = entry.name
        cls.impl_name = f"{Loader._module_name(entry.file)}.{cls.__qualname__}"
        if "logger" not in cls.__dict__:
            cls.logger = logging.getLogger(entry.name)


def _name_of_method(cls: Any) -> Any:
    """The name that a class gives by a `get_name` of its own, as older service files do."""
    return cls.get_name() if "get_name" in cls.__dict__ else None


def _is_wanted(entry: Entry) -> bool:
    """Whether a service wants to be deployed: its own before_add_to_store says so."""
    return entry.cls.before_add_to_store(entry.cls.logger) is not False  # type: ignore[attr-defined]


def _tell(entry: Entry) -> None:
    """Tells a service that it is deployed."""
    cls: Any = entry.cls
    try:
        cls.after_add_to_store(cls.logger)
    except Exception:
        cls.logger.exception("after_add_to_store raised an exception")


class _Fallback:
    """The last of all finders: the module `bunch` for service files that take it for granted, where no package has that name."""

    @staticmethod
    def find_spec(name: str, path: Optional[Sequence[str]] = None, target: Optional[ModuleType] = None) -> Optional[ModuleSpec]:
        """The spec of `zato.bunch`, by its short name."""
        if name != "bunch":
            return None
        return spec_from_file_location(name, os.path.join(os.path.dirname(_HERE), "zato", "bunch.py"))


class _FileLoader(SourceFileLoader):
    """Runs a service file, or its previous version if it does not run."""

    def __init__(self, name: str, location: str, path: str, loader: Loader) -> None:
        super().__init__(name, location)
        self._service_path = path
        self._loader = loader

    def exec_module(self, module: ModuleType) -> None:
        try:
            self._run(module)
        except BaseException as error:
            previous = self._loader.previous_of(self._service_path)
            if previous is None:
                raise
            run_source(module, previous)
            self._loader.refuse(self._service_path, error, kept_previous=True)

    def _run(self, module: ModuleType) -> None:
        stopwatch = self._loader.stopwatch
        stopwatch.begin(self._service_path)
        try:
            super().exec_module(module)
        finally:
            stopwatch.end()


def run_source(module: ModuleType, location: str) -> None:
    """Runs a file as a module that begins anew."""
    kept = {name: value for name, value in vars(module).items() if name in ("__name__", "__loader__", "__package__", "__spec__", "__path__")}
    vars(module).clear()
    vars(module).update(kept, __file__=location)
    with open(location, "rb") as file:
        code = compile(file.read(), location, "exec", dont_inherit=True)
    exec(code, vars(module))
