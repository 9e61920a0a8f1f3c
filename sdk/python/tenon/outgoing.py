"""Outgoing connections as services use them. The connections themselves, their pools and credentials are in the server."""

import binascii
import time
from datetime import timedelta
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from . import payloads
from .bunch import Bunch
from .errors import OutgoingError
from .host import HostReturn, Steps, body_of, check, run_steps
from .rest_response import RestResponse

REST = "rest-outgoing"
SQL = "sql-outgoing"


class DataAndResponse(NamedTuple):
    """What came back over a connection: what was made of it, and the response itself."""

    data: Any
    raw_response: RestResponse


class _Rest:
    """One outgoing REST connection."""

    def __init__(self, request: Any, name: str) -> None:
        self._request = request
        self.name = name

    def _call(self, operation: str, data: Any, params: Any, options: Dict[str, Any]) -> Any:
        headers = dict(options.pop("headers", None) or {})
        timeout = options.pop("timeout", None)
        model = options.pop("model", None)
        if "json" in options:
            data = options.pop("json")
        if options:
            raise TypeError(f"{operation}() does not know the argument '{next(iter(options))}'")
        body, is_json = b"", False
        if data is not None and data != "":
            body, is_json = body_of(data)
        if is_json and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = "application/json"
        arguments: Dict[str, Any] = {"params": dict(params or {}), "headers": {str(k): str(v) for k, v in headers.items()}}
        if timeout is not None:
            arguments["timeout_ms"] = int(float(timeout) * 1000)
        tail = {"op": "outgoing", "kind": REST, "name": self.name, "operation": operation, "arguments": arguments}
        cid = self._request.cid
        began = time.monotonic()

        def convert(answer: HostReturn) -> Any:
            check(answer, OutgoingError)
            described = answer.described()
            result = described.get("result")
            if "status" not in described and isinstance(result, dict):
                described = result
            response = RestResponse(
                cid,
                int(described.get("status") or 0),
                str(described.get("reason") or ""),
                described.get("headers") or {},
                answer.body,
                timedelta(seconds=time.monotonic() - began),
            )
            return _as_model(model, response.data) if model is not None and response.ok else response

        return self._request._host.call(self._request, tail, body, is_json, convert)

    def ping(self, cid: Optional[str] = None) -> Any:
        """Asks whether the other side is there; what it says as text."""
        tail = {"op": "outgoing", "kind": REST, "name": self.name, "operation": "ping", "arguments": {}}

        def convert(answer: HostReturn) -> str:
            check(answer, OutgoingError)
            described = answer.described()
            result = described.get("result")
            return str(result if result is not None else described.get("status", ""))

        return self._request._host.call(self._request, tail, b"", False, convert)


def _operation(method: str) -> str:
    operation = str(method).lower()
    if operation not in ("get", "head", "post", "put", "patch", "delete", "options"):
        raise ValueError(f"'{method}' is no method of an outgoing REST connection")
    return operation


def _as_model(model: Any, data: Any) -> Any:
    return [model.from_dict(item) for item in data] if isinstance(data, list) else model.from_dict(data)


class RestConn(_Rest):
    """An outgoing REST connection whose methods take the correlation id first, as `self.out.rest['X'].conn` has them."""

    def get(self, cid: str, params: Any = None, *args: Any, **options: Any) -> Any:
        """GET; parameters fill `{x}` of the connection's path, the rest becomes the query string."""
        return self._call("get", None, params, options)

    def head(self, cid: str, params: Any = None, *args: Any, **options: Any) -> Any:
        """HEAD."""
        return self._call("head", None, params, options)

    def post(self, cid: str, data: Any = "", params: Any = None, *args: Any, **options: Any) -> Any:
        """POST; a dict, list or Model is sent as JSON, text and bytes as they are."""
        return self._call("post", data, params, options)

    def put(self, cid: str, data: Any = "", params: Any = None, *args: Any, **options: Any) -> Any:
        """PUT."""
        return self._call("put", data, params, options)

    def patch(self, cid: str, data: Any = "", params: Any = None, *args: Any, **options: Any) -> Any:
        """PATCH."""
        return self._call("patch", data, params, options)

    def delete(self, cid: str, data: Any = "", params: Any = None, *args: Any, **options: Any) -> Any:
        """DELETE."""
        return self._call("delete", data, params, options)

    def options(self, cid: str, data: Any = "", params: Any = None, *args: Any, **options: Any) -> Any:
        """OPTIONS."""
        return self._call("options", data, params, options)

    send = post

    def http_request(self, method: str, cid: str, data: Any = "", params: Any = None, *args: Any, **options: Any) -> Any:
        """A request with a method by its name."""
        return self._call(_operation(method), data, params, options)

    def rest_call(
        self,
        *,
        cid: str = "",
        data: Any = "",
        model: Any = None,
        callback: Any = None,
        params: Any = None,
        headers: Optional[Dict[str, str]] = None,
        method: str = "",
        log_response: bool = True,
        timeout: Optional[float] = None,
        needs_raw_response: bool = False,
    ) -> Any:
        """A request whose answer is its data: those of the model, if one is given, and what the callback makes of them.

        A status of 400 or above is raised as an OutgoingError. Without a method it is a POST if there are data, otherwise a GET.
        """
        options: Dict[str, Any] = {"headers": headers, "timeout": timeout}
        operation = _operation(method or ("POST" if data not in ("", None) else "GET"))
        return run_steps(self._request, self._rest_call(operation, data, params, options, (model, callback), (log_response, needs_raw_response)))

    def _rest_call(self, operation: str, data: Any, params: Any, options: Dict[str, Any], makes: Tuple[Any, Any], wants: Tuple[bool, bool]) -> Steps:
        model, callback = makes
        response: RestResponse = yield self._call(operation, data, params, options)
        if wants[0]:
            import logging

            logging.getLogger("tenon.rest").info("%s '%s' -> %s: %s", operation.upper(), self.name, response.status_code, response.text[:2000])
        response.raise_for_status()
        found = response.data
        if model is not None:
            found = _as_model(model, found)
        found = callback(found) if callback is not None else found
        return DataAndResponse(found, response) if wants[1] else found

    def upload(self, cid: str, item: Any, field_name: str = "data", mime_type: str = "application/octet-stream", filename: str = "") -> Any:
        """Sends a file, as text or bytes, the way a form in a browser does."""
        import uuid

        content = item.encode() if isinstance(item, str) else bytes(item)
        boundary = uuid.uuid4().hex
        quoted = [each.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "").replace("\n", "") for each in (field_name, filename or field_name)]
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{quoted[0]}"; filename="{quoted[1]}"\r\nContent-Type: {mime_type}\r\n\r\n'
        body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        return self._call("post", body, None, {"headers": {"Content-Type": f"multipart/form-data; boundary={boundary}"}})


class RestConnection(_Rest):
    """An outgoing REST connection whose methods don't take a correlation id, as `self.rest['X']` has them."""

    def get(self, params: Any = None, **options: Any) -> Any:
        """GET; parameters fill `{x}` of the connection's path, the rest becomes the query string."""
        return self._call("get", None, params, options)

    def head(self, params: Any = None, **options: Any) -> Any:
        """HEAD."""
        return self._call("head", None, params, options)

    def post(self, data: Any = "", params: Any = None, **options: Any) -> Any:
        """POST; a dict, list or Model is sent as JSON, text and bytes as they are."""
        return self._call("post", data, params, options)

    def put(self, data: Any = "", params: Any = None, **options: Any) -> Any:
        """PUT."""
        return self._call("put", data, params, options)

    def patch(self, data: Any = "", params: Any = None, **options: Any) -> Any:
        """PATCH."""
        return self._call("patch", data, params, options)

    def delete(self, data: Any = "", params: Any = None, **options: Any) -> Any:
        """DELETE."""
        return self._call("delete", data, params, options)

    def options(self, data: Any = "", params: Any = None, **options: Any) -> Any:
        """OPTIONS."""
        return self._call("options", data, params, options)


class RestConnections:
    """`self.rest['CRM']`, or `self.rest.CRM` where the name allows it."""

    __contains__ = __iter__ = None

    def __init__(self, request: Any) -> None:
        self._request = request

    def __getitem__(self, name: str) -> RestConnection:
        return RestConnection(self._request, name)

    def __getattr__(self, name: str) -> RestConnection:
        if name.startswith("_"):
            raise AttributeError(name)
        return RestConnection(self._request, name)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """Not there: connections are objects, so that their credentials and limits are."""
        raise NotImplementedError("self.rest.get(url) is not supported; make an outgoing REST connection and use self.rest['name'].get()")


class _Wrapped:
    """What `self.out.rest['X']` gives: an object whose `conn` is the connection."""

    def __init__(self, request: Any, name: str) -> None:
        self.name = name
        self.conn = RestConn(request, name)


class _ByName:
    """Connections by name. Which there are the server knows, so they are neither counted nor looked for."""

    __contains__ = __iter__ = None

    def __init__(self, request: Any, make: Any) -> None:
        self._request = request
        self._make = make

    def __getitem__(self, name: str) -> Any:
        return self._make(self._request, name)

    def get(self, name: str) -> Any:
        """The same as by index."""
        return self._make(self._request, name)


class Row(Bunch):
    """A row of an SQL result: columns by name, as keys and as attributes, and by their place, `row[0]`."""

    __slots__ = ()

    def __getitem__(self, column: Any) -> Any:
        if isinstance(column, (int, slice)):
            return tuple(self.values())[column]
        return super().__getitem__(column)

    def _asdict(self) -> Dict[str, Any]:
        return dict(self)

    @property
    def _mapping(self) -> "Row":
        return self


class Rows(List[Row]):
    """The rows that a statement gave, and how many it changed."""

    def __init__(self, rows: List[Row], rows_affected: int) -> None:
        super().__init__(rows)
        self.rows_affected = self.rowcount = rows_affected
        """How many rows were changed."""

    @property
    def rows(self) -> List[Row]:
        """The rows themselves."""
        return list(self)


def _exact(value: Any) -> Any:
    """A parameter as the SQL connector reads it without loss: a Decimal that no float holds as text, bytes in base64."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return binascii.b2a_base64(value, newline=False).decode()
    if payloads.is_decimal(value) and value.is_finite():
        return value if type(value)(repr(float(value))) == value else str(value)
    return str(value) if payloads.is_decimal(value) else value


class SqlConnection:
    """An outgoing SQL connection: `one`, `all` and `execute` with a query and named parameters, `:name` in the query."""

    def __init__(self, request: Any, name: str) -> None:
        self._request = request
        self.name = name

    @property
    def conn(self) -> "SqlConnection":
        """The connection itself."""
        return self

    def _call(self, operation: str, query: str, params: Any, kwargs: Dict[str, Any], convert_result: Any) -> Any:
        tail = {
            "op": "outgoing",
            "kind": SQL,
            "name": self.name,
            "operation": operation,
            "arguments": {"query": query, "params": {name: _exact(value) for name, value in {**(params or {}), **kwargs}.items()}},
        }

        def convert(answer: HostReturn) -> Any:
            check(answer, OutgoingError)
            # Rows may be too many for a header, so they may come as the body.
            result = payloads.loads(str(answer.body, "utf-8")) if answer.body else answer.described().get("result")
            return convert_result(result)

        return self._request._host.call(self._request, tail, b"", False, convert)

    def one(self, query: str, params: Optional[Dict[str, Any]] = None, **kwargs: Any) -> Any:
        """The only row; OutgoingError if there is none, or more than one."""
        return self._call("one", query, params, kwargs, _only_row)

    def one_or_none(self, query: str, params: Optional[Dict[str, Any]] = None, **kwargs: Any) -> Any:
        """The only row, or None; OutgoingError if there is more than one."""
        return self._call("one", query, params, kwargs, _row)

    def all(self, query: str, params: Optional[Dict[str, Any]] = None, **kwargs: Any) -> Any:
        """All rows."""
        return self._call("all", query, params, kwargs, _rows)

    def execute(self, query: str, params: Optional[Dict[str, Any]] = None, **kwargs: Any) -> Any:
        """Runs a statement and gives a list of its rows, empty if it has none; `rows_affected` of the list is how many it changed."""
        return self._call("execute", query, params, kwargs, _executed)

    def ping(self, cid: Optional[str] = None) -> Any:
        """Asks whether the database is there; what it says as text."""
        tail = {"op": "outgoing", "kind": SQL, "name": self.name, "operation": "ping", "arguments": {}}

        def convert(answer: HostReturn) -> str:
            check(answer, OutgoingError)
            return str(answer.described().get("result", ""))

        return self._request._host.call(self._request, tail, b"", False, convert)

    def session(self) -> Any:
        """The connection in the form of a session: `execute`, `commit` and `close`. Each statement is committed by itself."""
        from .sql_session import Session

        return Session(self)


def _row(value: Any) -> Any:
    return Row(value) if isinstance(value, dict) else value


def _only_row(value: Any) -> Any:
    if value is None:
        raise OutgoingError("one row was expected, and there is none", 500, "Rows")
    return _row(value)


def _executed(value: Any) -> Rows:
    done = value if isinstance(value, dict) else {}
    return Rows(_rows(done.get("rows")), int(done.get("rows_affected") or 0))


def _rows(value: Any) -> List[Any]:
    return [_row(item) for item in value or ()]


class Outgoing:
    """Outgoing connections by kind and name."""

    def __init__(self, request: Any) -> None:
        self.rest = self.plain_http = _ByName(request, _Wrapped)
        self.sql = _ByName(request, SqlConnection)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"there are no outgoing connections of the kind '{name}'; there are: rest, sql")
