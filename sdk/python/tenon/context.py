"""What a service sees of the call that it answers: the request and the channel. Everything is made when first asked for."""

from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Union

from . import payloads
from .bunch import Bunch, bunchify
from .errors import BadRequest
from .forms import fields_of_text
from .http_request import Headers, HttpRequest, last_of_each
from .lazy import UNSET
from .protocol import FLAG_JSON, REQUEST_TAIL
from .streams import InputStream

if TYPE_CHECKING:
    from .entry import Entry

XML_FORMAT = b'"data_format":"xml"'
"""What the metadata of a call over a channel for XML have in them."""


class Security:
    """Who the channel's security let in; false if the channel is open."""

    def __init__(self, described: Mapping[str, Any]) -> None:
        self.name = self.id = str(described.get("name") or "")
        """The security definition."""
        self.type = str(described.get("type") or "")
        """Its kind: `basic-auth`, `api-key`, `jwt`, `mutual-tls`."""
        self.username = str(described.get("username") or "")
        """The user, or the subject of a token or certificate."""
        self.claims: Dict[str, Any] = described.get("claims") or {}
        """The claims of a token, the fields of a certificate."""
        self.impl = described

    def __bool__(self) -> bool:
        return bool(self.name)

    def to_dict(self) -> Dict[str, Any]:
        """Name, type and user."""
        return {"id": self.id, "name": self.name, "type": self.type, "username": self.username}


class Channel:
    """What the call came through."""

    is_internal = False
    """Whether the channel is the platform's own."""
    impl = None

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self.type: str = metadata.get("channel", "")
        """`rest`, `scheduler`, `invoke`, `cli` and so on."""
        self.name: str = metadata.get("channel_name", "")
        """The name of the channel, job, service or user that calls."""
        self.id = self.name
        self.data_format: str = metadata.get("data_format", "")
        """`json`, `form`, `csv`, `xml`, or empty for raw data."""
        self.match_target = f"{metadata.get('method', '')}{metadata.get('path', '')}"
        """The method and path of the HTTP request."""
        security = metadata.get("security")
        self.security = self.sec = Security(security if isinstance(security, dict) else {})


class Request:
    """What a service was called with."""

    cancelled = False
    # Class attributes are the defaults of what is worked out later: a request that does not ask pays nothing.
    _cid: Optional[str] = None
    _metadata: Optional[Dict[str, Any]] = None
    _payload: Any = UNSET
    _input: Any = UNSET
    _http: Optional[HttpRequest] = None
    _waiting: Any = None
    _task: Any = None
    _has_begun = False
    _thread: Any = None
    _told: Any = None
    _stream: Optional[InputStream] = None
    _output: Any = None
    _service: Any = None

    def __init__(self, host: Any, entry: "Entry", id: int, flags: int, tail: bytes, body: bytes) -> None:
        self._host = host
        self._entry = entry
        self._id = id
        self._flags = flags
        self._tail = tail
        self._body = body

    @property
    def cid(self) -> str:
        """The correlation id of the call."""
        if self._cid is None:
            tail = self._tail
            if not tail:
                self._cid = ""
            else:
                start = REQUEST_TAIL.size
                self._cid = tail[start : start + REQUEST_TAIL.unpack_from(tail)[1]].decode()
        return self._cid

    @property
    def deadline_ns(self) -> int:
        """When the caller stops waiting, in nanoseconds of CLOCK_MONOTONIC; 0 if it does not."""
        deadline: int = REQUEST_TAIL.unpack_from(self._tail)[0] if self._tail else 0
        return deadline

    @property
    def metadata(self) -> Dict[str, Any]:
        """What the server says of the call."""
        if self._metadata is None:
            tail = self._tail
            text = str(tail[REQUEST_TAIL.size + REQUEST_TAIL.unpack_from(tail)[1] :], "utf-8") if tail else ""
            self._metadata = payloads.loads(text) if text else {}
        return self._metadata

    @property
    def stream(self) -> InputStream:
        """The body piece by piece, to be iterated over or read from; of any size if the service says `streams = True`."""
        if self._stream is None:
            self._stream = InputStream(self._host, self, self._came(), True)
        return self._stream

    merge_channel_params = True
    """Not used; service files may read it."""

    @property
    def data_format(self) -> str:
        """The channel's data format: `json`, `form`, `csv`, `xml`, or empty for raw data."""
        return str(self.metadata.get("data_format") or "")

    @property
    def transport(self) -> str:
        """`plain_http` if the call came over HTTP, otherwise empty."""
        return "plain_http" if "method" in self.metadata else ""

    @property
    def text(self) -> str:
        """The body as text, as it came."""
        try:
            return str(self._came(), "utf-8")
        except UnicodeDecodeError as error:
            raise BadRequest(self.cid, f"The body is no UTF-8 text: {error.reason} at byte {error.start}") from None

    @property
    def raw_request(self) -> Any:
        """The body as it came: bytes over HTTP, otherwise what the caller gave."""
        return self._came() if "method" in self.metadata else self.payload

    raw = raw_request

    def _came(self) -> bytes:
        # The server has read a form, CSV or XML: behind what it made of it is what it was.
        raw_at = self.metadata.get("raw_at")
        return self._body if raw_at is None else self._body[raw_at:]

    @property
    def payload(self) -> Any:
        """The body, parsed as the channel's data format says; None if there is none."""
        if self._payload is UNSET:
            self._payload = self._parse()
        return self._payload

    @payload.setter
    def payload(self, value: Any) -> None:
        self._payload = value

    def _parse(self, wants_json: bool = False) -> Any:
        body = self._body
        if not body:
            return None
        if not self._flags & FLAG_JSON:
            raw_at = self.metadata.get("raw_at")
            if raw_at is not None:
                body = body[:raw_at]
            elif not wants_json and self.data_format in ("form", "post"):
                return Bunch(fields_of_text(self.text))
            elif not wants_json and self.data_format != "json":
                return self._text_or_bytes()
        try:
            value = payloads.loads(str(body, "utf-8"))
        except ValueError as error:
            if wants_json or "method" in self.metadata:
                raise BadRequest(self.cid, f"The body is no JSON: {error}") from None
            return self._text_or_bytes()
        if type(value) is dict and "phase" in value:
            # What services are told of calls in the background has one.
            from .callbacks import adapted

            self._told = value
            value = adapted(self.metadata.get("channel"), value)
        return value

    def _text_or_bytes(self) -> Union[str, bytes]:
        try:
            return str(self._body, "utf-8")
        except UnicodeDecodeError:
            return self._body

    @property
    def outcome(self) -> Optional[Bunch]:
        """How a call in the background ended, for the callback that is told of it; None for any other service."""
        from .callbacks import outcome_of

        return outcome_of(self)

    def payload_for_input(self) -> Any:
        """The payload for a service that declares its input, which therefore has to have a structure."""
        if self._payload is UNSET:
            is_form = not self._flags & FLAG_JSON and self.data_format in ("form", "post")
            self._payload = self._parse(wants_json=not is_form)
        payload = self._payload
        if type(payload) is str and "method" not in self.metadata:
            # Jobs and other services may give a structure as its text.
            try:
                return payloads.loads(payload)
            except ValueError:
                return payload
        if type(payload) is dict and len(payload) == 1 and XML_FORMAT in self._tail:
            # What is declared are the elements below the root.
            (below,) = payload.values()
            return below if isinstance(below, dict) else payload
        return payload

    @property
    def channel_params(self) -> Bunch:
        """Parameters of path, query string and form, merged by the channel's rules."""
        metadata = self.metadata
        merged = metadata.get("merged_params")
        if merged is None:
            merged = last_of_each(metadata.get("params"))
            merged.update(last_of_each(metadata.get("query")))
        return Bunch(merged)

    def merge(self, payload: Dict[str, Any], params: Dict[str, Any]) -> Bunch:
        """A payload together with parameters; which of them win, the channel says."""
        merged = Bunch(payload)
        if self.metadata.get("message_wins"):
            for name, value in params.items():
                merged.setdefault(name, value)
        else:
            merged.update(params)
        return merged

    @property
    def input(self) -> Any:
        """The input as the service declares it; without a declaration the payload together with the channel's parameters."""
        if self._input is UNSET:
            payload = self.payload
            params = self.channel_params
            if isinstance(payload, dict):
                self._input = self.merge(bunchify(payload), params)
            else:
                self._input = params if payload is None else payload
        return self._input

    @input.setter
    def input(self, value: Any) -> None:
        self._input = value

    @property
    def http(self) -> HttpRequest:
        """The HTTP request behind the call; its fields are empty if there is none."""
        if self._http is None:
            self._http = HttpRequest(self)
        return self._http

    @property
    def headers(self) -> Headers:
        """The HTTP request's headers."""
        return self.http.headers

    def to_bunch(self) -> Any:
        """The payload with its dicts as bunches."""
        return bunchify(self.payload)

    bunchified = to_bunch
