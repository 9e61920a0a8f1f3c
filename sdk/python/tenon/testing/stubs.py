"""What stands in for outgoing connections and other services."""

import re
from typing import Any, Callable, Dict, Generic, List, NamedTuple, Optional, Pattern, Tuple, TypeVar, Union

from .. import payloads
from ..errors import StatusError
from ..host import HostReturn
from ..http_request import Headers
from .memory import ok, refused

T = TypeVar("T")


class Answer:
    """What a stub of a REST connection or of a service answers: a status, data (an object, text or bytes) and headers."""

    def __init__(self, data: Any = None, status: int = 200, headers: Optional[Dict[str, str]] = None, reason: str = "") -> None:
        self.data = data
        self.status = status
        self.headers = dict(headers or {})
        self.reason = reason

    def body(self) -> Tuple[bytes, bool, str]:
        """The bytes, whether they are JSON, and their media type."""
        if self.data is None:
            return b"", False, ""
        if isinstance(self.data, str):
            return self.data.encode(), False, "text/plain; charset=utf-8"
        if isinstance(self.data, (bytes, bytearray)):
            return bytes(self.data), False, "application/octet-stream"
        return payloads.dumps(self.data), True, "application/json"


class RestCall(NamedTuple):
    """A request that a service made of a REST connection."""

    method: str
    params: Dict[str, Any]
    headers: Headers
    data: Any
    """What was sent: parsed if it is JSON, otherwise text, or bytes if it is no text; None if nothing was."""
    body: bytes
    timeout: Optional[float]


class SqlCall(NamedTuple):
    """A statement that a service ran on an SQL connection."""

    operation: str
    """`one`, `all` or `execute`."""
    query: str
    params: Dict[str, Any]


class _Stub(Generic[T]):
    """Answers that were prepared, and the calls that came."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls: List[T] = []
        self._answers: List[Any] = []

    def answer(self, *answers: Any) -> "_Stub[T]":
        """What is answered: one after the other, the last one again and again. A callable is given the call, an exception is raised."""
        self._answers.extend(answers)
        return self

    def _next(self, call: Any) -> Any:
        self.calls.append(call)
        if not self._answers:
            raise LookupError(f"'{self.name}' has no answer prepared")
        found = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
        # A connection of sqlite3 can be called too, but is meant to run statements.
        if callable(found) and not isinstance(found, type) and not hasattr(found, "cursor"):
            found = found(call)
        if isinstance(found, BaseException) or (isinstance(found, type) and issubclass(found, BaseException)):
            raise found
        return found


def failed(name: str, error: Exception) -> HostReturn:
    """What a connection that fails looks like to the service."""
    if isinstance(error, TimeoutError):
        return refused(504, "Timeout", f"{name}: {error or 'no answer in time'}")
    if isinstance(error, LookupError) and not isinstance(error, (KeyError, IndexError)):
        return refused(404, "NotFound", str(error))
    if isinstance(error, OSError):
        return refused(503, "ServiceUnavailable", f"{name}: {error or type(error).__name__}")
    return refused(502, "Failed", f"{name}: {type(error).__name__}: {error}")


def _data_of(body: bytes) -> Any:
    if not body:
        return None
    try:
        text = str(body, "utf-8")
    except UnicodeDecodeError:
        return body
    try:
        return payloads.loads(text)
    except ValueError:
        return text


class RestStub(_Stub[RestCall]):
    """Stands in for an outgoing REST connection: `platform.rest['CRM'].answer({'id': 7})`.

    Answers are data (sent as JSON, text or bytes with status 200), an Answer, a callable that is given the RestCall, or an exception:
    a TimeoutError is no answer in time, a ConnectionError a connection that is down.
    """

    def serve(self, asked: Dict[str, Any], body: bytes) -> HostReturn:
        """Does what a host call asks for."""
        operation, arguments = str(asked.get("operation")), asked.get("arguments") or {}
        if operation == "ping":
            return ok({"result": "200 OK"})
        timeout = arguments.get("timeout_ms")
        call = RestCall(
            operation.upper(),
            dict(arguments.get("params") or {}),
            Headers(arguments.get("headers") or {}),
            _data_of(body),
            body,
            None if timeout is None else timeout / 1000,
        )
        try:
            found = self._next(call)
        except AssertionError:
            raise
        except Exception as error:
            return failed(self.name, error)
        answer = found if isinstance(found, Answer) else Answer(found)
        content, _, content_type = answer.body()
        headers = {"content-type": content_type, **answer.headers} if content_type else answer.headers
        return ok({"result": {"status": answer.status, "reason": answer.reason, "headers": headers}}, content)


_Rows = Union[List[Any], Callable[[SqlCall], Any], Any]


class SqlStub(_Stub[SqlCall]):
    """Stands in for an outgoing SQL connection: `platform.sql['Billing'].answer([{'id': 1}])`.

    Answers are rows, a number of changed rows, a callable that is given the SqlCall, an exception, or a `sqlite3.Connection`,
    which then runs the statements. `on` answers only queries that a regular expression is found in.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._by_query: List[Tuple[Pattern[str], Any]] = []

    def on(self, query: str, rows: _Rows) -> "SqlStub":
        """What is answered to queries that a regular expression is found in, whatever their case."""
        self._by_query.append((re.compile(query, re.IGNORECASE | re.DOTALL), rows))
        return self

    def serve(self, asked: Dict[str, Any], _body: bytes) -> HostReturn:
        """Does what a host call asks for."""
        operation, arguments = str(asked.get("operation")), asked.get("arguments") or {}
        if operation == "ping":
            return ok({"result": "ok"})
        call = SqlCall(operation, str(arguments.get("query")), dict(arguments.get("params") or {}))
        try:
            found = self._rows(call)
        except AssertionError:
            raise
        except Exception as error:
            return failed(self.name, error)
        if operation == "execute":
            found = _executed(found)
        elif operation == "one" and isinstance(found, list):
            if len(found) > 1:
                return failed(self.name, ValueError(f"'one' expects at most one row, but the query gave {len(found)}"))
            found = found[0] if found else None
        elif operation == "all" and not isinstance(found, list):
            found = [] if found is None else [found]
        return ok({}, payloads.dumps(found), True)

    def _rows(self, call: SqlCall) -> Any:
        for pattern, rows in self._by_query:
            if pattern.search(call.query):
                self.calls.append(call)
                found = rows(call) if callable(rows) else rows
                if isinstance(found, BaseException):
                    raise found
                return found
        found = self._next(call)
        return _run_sqlite(found, call) if hasattr(found, "cursor") else found


def _executed(found: Any) -> Any:
    """What a statement gives, made of rows or of the number of rows that it changed."""
    if isinstance(found, list):
        return {"rows_affected": len(found), "rows": found}
    return {"rows_affected": found or 0} if found is None or isinstance(found, int) else found


def _run_sqlite(connection: Any, call: SqlCall) -> Any:
    """Runs a statement in an SQLite database."""
    cursor = connection.execute(call.query, call.params)
    if cursor.description is None:
        connection.commit()
        return max(cursor.rowcount, 0)
    names = [each[0] for each in cursor.description]
    rows = [dict(zip(names, row)) for row in cursor.fetchall()]
    connection.commit()
    return rows


class ServiceStub(_Stub[Any]):
    """Stands in for another service: `platform.services['crm.get'].answer({'id': 7})`. `calls` are the payloads.

    Answers are data, an Answer, a callable that is given the payload, or an exception: one for callers, such as NotFound, is raised
    where the service was invoked; any other is an InvocationFailed there.
    """

    def serve(self, body: bytes, is_json: bool) -> HostReturn:
        """Answers an invocation."""
        payload = payloads.loads(str(body, "utf-8")) if is_json and body else _text(body)
        try:
            found = self._next(payload)
        except AssertionError:
            raise
        except StatusError as error:
            problem = payloads.dumps(error.problem(error.cid))
            return ok({"status": error.status, "content_type": "application/problem+json", "is_json": True}, problem, True)
        except TimeoutError as error:
            return refused(504, "Timeout", str(error) or "the service did not answer in time")
        except Exception as error:
            return refused(500, "InternalServerError", f"{type(error).__name__}: {error}")
        answer = found if isinstance(found, Answer) else Answer(found)
        content, content_is_json, content_type = answer.body()
        described = {"status": answer.status, "content_type": None if content_is_json else content_type or None, "is_json": content_is_json}
        return ok(described, content, content_is_json)


def _text(body: bytes) -> Any:
    if not body:
        return None
    try:
        return str(body, "utf-8")
    except UnicodeDecodeError:
        return body
