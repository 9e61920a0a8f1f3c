"""Services that are nothing but a call of a REST connection: `class GetUser(RESTAdapter)` names the connection, and says what differs."""

from typing import Any, ClassVar, Dict, Generator, Optional, Type

from .errors import BadRequest, HostCallError, OutgoingError
from .host import run_steps
from .service import Service

_RETRIED_STATUSES = frozenset((429, 500, 502, 503, 504))
_WAIT_MAX_SECONDS = 60.0


class RESTAdapter(Service):
    """Calls an outgoing REST connection with what it was called with, and answers with what comes back.

    ```
    class GetUser(RESTAdapter):
        conn_name = "CRM"
        has_query_string_id = True

        def map_response(self, data, **kwargs):
            return {"name": data["display_name"]}
    ```
    """

    conn_name: ClassVar[str] = ""
    """The outgoing connection."""
    method: ClassVar[str] = "GET"
    """The method of the request."""
    model: ClassVar[Optional[Type[Any]]] = None
    """What the JSON of the answer is read as: a Model, or one for each item of a list."""
    has_query_string_id: ClassVar[bool] = False
    """Whether the query string has an id, taken from the input."""
    query_string_id_param: ClassVar[str] = "id"
    """The name of that id, in the input and in the query string."""
    has_json_id: ClassVar[bool] = False
    """Whether the body is an object with an id, taken from the input."""
    json_id_param: ClassVar[str] = "id"
    """The name of that id, in the input and in the body."""
    log_response: ClassVar[bool] = False
    """Whether the log gets what comes back."""
    needs_raw_response: ClassVar[bool] = False
    """Whether `map_response` gets the response itself, with its status and headers, whatever the status is."""
    max_retries: ClassVar[int] = 0
    """How often a call that failed is repeated: no answer, or a status of 429, 500, 502, 503 or 504."""
    retry_sleep_time: ClassVar[float] = 2
    """Seconds before a repetition."""
    retry_backoff_threshold: ClassVar[int] = 3
    """After so many repetitions the wait grows."""
    retry_backoff_multiplier: ClassVar[float] = 2
    """By what it grows each time."""

    def get_conn_name(self) -> str:
        """The outgoing connection."""
        return self.conn_name

    def get_method(self) -> str:
        """The method of the request."""
        return self.method

    def get_request(self) -> Any:
        """The body of the request: a dict, list or Model is sent as JSON, text and bytes as they are."""
        return None

    def get_headers(self) -> Optional[Dict[str, Any]]:
        """Headers of the request."""
        return None

    def get_query_string(self, params: Dict[str, Any]) -> Optional[Dict[str, Any]]:
        """Parameters of the query string; those that there are already may be changed, or others given."""
        return params

    def get_path_params(self, params: Dict[str, Any]) -> Optional[Dict[str, Any]]:
        """Parameters of the connection's path."""
        return params

    def get_auth_bearer(self) -> str:
        """A token for the header Authorization; empty if the connection's own security is enough."""
        return ""

    def map_response(self, data: Any, **kwargs: Any) -> Any:
        """The answer, made of what came back: JSON as Python values, or as the model; otherwise text."""
        return data

    def rest_call(self, conn_name: str, **options: Any) -> Any:
        """A request over another connection, whose answer is its data; the arguments are those of `rest_call` of a connection.

        With `needs_raw_response` what it gives has the `data`, and the response itself as `raw_response`.
        """
        return self.out.rest[conn_name].conn.rest_call(cid=self.cid, needs_raw_response=self.needs_raw_response, **options)

    def handle(self) -> Any:
        return run_steps(self.request, self._call())

    def _call(self) -> Generator[Any, Any, Any]:
        response = yield from self._response()
        if self.log_response:
            self.logger.info("%s answered %s: %s", self.get_conn_name(), response.status_code, response.text)
        data = response if self.needs_raw_response else self._data(response)
        mapped = yield self.map_response(data, response=response)
        self.response.payload = mapped
        return None

    def _data(self, response: Any) -> Any:
        if not response.ok:
            raise OutgoingError(f"{self.get_conn_name()} answered with {response.status_code} {response.reason}", 502, "Status")
        data = response.data
        model = self.model
        if model is None or data is None:
            return data
        try:
            return [model.from_dict(item) for item in data] if isinstance(data, list) else model.from_dict(data)
        except BadRequest as error:
            raise OutgoingError(f"{self.get_conn_name()} answered with what is no {model.__name__}: {error}", 502, "Data") from error

    def _response(self) -> Generator[Any, Any, Any]:
        """What comes back, after as many attempts as it takes and may take."""
        attempt = 0
        wait = float(self.retry_sleep_time)
        while True:
            try:
                response = yield self._send()
                if response.status_code not in _RETRIED_STATUSES or attempt >= self.max_retries:
                    return response
                self.logger.warning("%s answered with %s", self.get_conn_name(), response.status_code)
            except HostCallError as error:
                if attempt >= self.max_retries:
                    raise
                self.logger.warning("%s: %s", self.get_conn_name(), error)
            attempt += 1
            yield self.sleep(wait)
            if attempt >= self.retry_backoff_threshold:
                wait = min(wait * self.retry_backoff_multiplier, _WAIT_MAX_SECONDS)

    def _send(self) -> Any:
        headers = dict(self.get_headers() or {})
        token = self.get_auth_bearer()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        params = dict(self.get_query_string(self._id(self.has_query_string_id, self.query_string_id_param)) or {})
        params.update(self.get_path_params({}) or {})
        body = self.get_request()
        if body is None and self.has_json_id:
            body = self._id(True, self.json_id_param)
        connection = self.out.rest[self.get_conn_name()].conn
        return connection.http_request(self.get_method(), self.cid, "" if body is None else body, params, headers=headers)

    def _id(self, is_wanted: bool, name: str) -> Dict[str, Any]:
        """The id that the service was called with, by its name."""
        if not is_wanted:
            return {}
        name = name or "id"
        given = self.request.input
        found = given.get(name, given.get("id")) if hasattr(given, "get") else given
        return {name: found}
