"""A thin session around an outgoing SQL connection, for service files that were written with one."""

from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional

from .errors import OutgoingError
from .host import Steps, run_steps
from .outgoing import Row

if TYPE_CHECKING:
    from .outgoing import SqlConnection


class SessionRow(Row):
    """A row of a session: what it is iterated over, or unpacked to, are its values, as SQLAlchemy has it."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values())

    @property
    def _mapping(self) -> Row:
        return Row(self.items())


class Result:
    """What a statement gave: rows, and how many it changed."""

    def __init__(self, rows: List[Any], rowcount: int) -> None:
        self._rows = [SessionRow(row.items()) for row in rows]
        self._at = 0
        self.rowcount = rowcount

    def keys(self) -> List[str]:
        """The names of the columns; empty if there are no rows."""
        return list(self._rows[0].keys()) if self._rows else []

    def fetchall(self) -> List[Any]:
        """The rows that were not read yet."""
        rows, self._at = self._rows[self._at :], len(self._rows)
        return rows

    all = fetchall

    def fetchmany(self, size: int = 1) -> List[Any]:
        """As many of the rows that were not read yet."""
        rows = self._rows[self._at : self._at + size]
        self._at += len(rows)
        return rows

    def fetchone(self) -> Any:
        """The next row, or None."""
        rows = self.fetchmany(1)
        return rows[0] if rows else None

    first = fetchone

    def one(self) -> Any:
        """The only row; OutgoingError if there is none, or more than one."""
        if len(self._rows) != 1:
            raise OutgoingError(f"one row was expected, not {len(self._rows)}", 500, "Rows")
        return self._rows[0]

    def one_or_none(self) -> Any:
        """The only row, or None; OutgoingError if there is more than one."""
        return self.one() if self._rows else None

    def scalar(self) -> Any:
        """The first column of the first row, or None."""
        row = self.fetchone()
        return next(iter(row.values()), None) if row is not None else None

    def scalars(self) -> List[Any]:
        """The first column of every row."""
        return [next(iter(row.values()), None) for row in self.fetchall()]

    def scalar_one(self) -> Any:
        """The first column of the only row; OutgoingError if there is none, or more than one."""
        return self.one()[0]

    def scalar_one_or_none(self) -> Any:
        """The first column of the only row, or None; OutgoingError if there is more than one."""
        return self.scalar_one() if self._rows else None

    def mappings(self) -> "Mappings":
        """The rows that were not read yet, as dicts."""
        return Mappings(self)

    def close(self) -> None:
        """Nothing: the rows are here."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self.fetchall())


class Mappings:
    """The rows of a Result as dicts, whose iteration gives the columns."""

    def __init__(self, result: Result) -> None:
        self._result = result

    def all(self) -> List[Row]:
        """The rows that were not read yet."""
        return [row._mapping for row in self._result.fetchall()]

    fetchall = all

    def first(self) -> Optional[Row]:
        """The next row, or None."""
        row = self._result.fetchone()
        return None if row is None else row._mapping

    fetchone = first

    def one(self) -> Row:
        """The only row; OutgoingError if there is none, or more than one."""
        mapping: Row = self._result.one()._mapping
        return mapping

    def one_or_none(self) -> Optional[Row]:
        """The only row, or None; OutgoingError if there is more than one."""
        return self.one() if self._result._rows else None

    def __iter__(self) -> Iterator[Row]:
        return iter(self.all())


def _only_reads(query: str) -> bool:
    """Whether a statement that gives rows changes nothing; a doubtful one counts as a change."""
    words = query.lower().replace("(", " ").split()
    first = words[0] if words else ""
    return first in ("select", "values", "show", "explain") or (first == "with" and not {"insert", "update", "delete", "merge"} & set(words))


class Session:
    """Statements of one connection, each committed by itself: the server has the connections, and keeps none for one service.

    Code that commits after each of its changes behaves as it did; `rollback` after a change says that it can't be taken back.
    """

    def __init__(self, connection: "SqlConnection") -> None:
        self._connection = connection
        self._changes = 0

    def execute(self, query: Any, params: Optional[Dict[str, Any]] = None, **kwargs: Any) -> Any:
        """Runs a statement and gives its Result; the query is text, or what `text()` of SQLAlchemy makes of one."""
        return run_steps(self._connection._request, self._execute(str(query), params, kwargs))

    def _execute(self, query: str, params: Optional[Dict[str, Any]], kwargs: Dict[str, Any]) -> Steps:
        done = yield self._connection.execute(query, params, **kwargs)
        if not _only_reads(query):
            self._changes += 1
        return Result(done.rows, done.rowcount)

    def scalar(self, query: Any, params: Optional[Dict[str, Any]] = None, **kwargs: Any) -> Any:
        """The first column of the first row of a query, or None."""
        return run_steps(self._connection._request, self._scalar(str(query), params, kwargs))

    def _scalar(self, query: str, params: Optional[Dict[str, Any]], kwargs: Dict[str, Any]) -> Steps:
        result: Result = yield self.execute(query, params, **kwargs)
        return result.scalar()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(f"a session here has no '{name}': it runs statements, and has no ORM, transactions or stored procedures of its own")

    def commit(self) -> None:
        """Nothing: each statement is committed by itself."""
        self._changes = 0

    def rollback(self) -> None:
        """Nothing if nothing was changed since the last commit; otherwise an OutgoingError, as that can't be taken back."""
        if self._changes:
            changes, self._changes = self._changes, 0
            raise OutgoingError(f"{changes} statements can't be rolled back: each was committed by itself", 500, "Rollback")

    def close(self) -> None:
        """Nothing: the server has the connection."""

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()
