"""The HTTP request behind a call, as services see it."""

from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Tuple

from .bunch import Bunch
from .forms import fields_of, fields_of_text

if TYPE_CHECKING:
    from .context import Request


class Headers(Dict[str, str]):
    """Headers with lower-case names, found whatever the case they are asked for in."""

    def __init__(self, pairs: Any = ()) -> None:
        super().__init__((name.lower(), ", ".join(value) if isinstance(value, list) else value) for name, value in _pairs(pairs))

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


class HttpRequest:
    """The HTTP request behind a call."""

    def __init__(self, request: "Request") -> None:
        self._request = request
        metadata = request.metadata
        self.method: str = metadata.get("method", "")
        self.path: str = metadata.get("path", "")
        self.remote: str = metadata.get("remote", "")
        self._headers: Optional[Headers] = None

    @property
    def GET(self) -> Bunch:  # noqa: N802 - the name that service files use
        """Parameters of the query string; of repeated ones the last."""
        return last_of_each(self._request.metadata.get("query"))

    @property
    def query(self) -> Dict[str, List[str]]:
        """Parameters of the query string with all their values."""
        query = self._request.metadata.get("query") or {}
        return {name: value if isinstance(value, list) else [value] for name, value in query.items()}

    @property
    def query_string(self) -> str:
        """The query string, put together anew."""
        from urllib.parse import urlencode

        return urlencode(self._request.metadata.get("query") or {}, doseq=True)

    @property
    def POST(self) -> Bunch:  # noqa: N802 - the name that service files use
        """Fields of a form; of repeated ones the last."""
        return self.get_form_data() if self._is_form else Bunch()

    @property
    def params(self) -> Bunch:
        """Parameters of the path, and those of the query string that the path does not have."""
        params = self.GET
        params.update(last_of_each(self._request.metadata.get("params")))
        return params

    @property
    def headers(self) -> Headers:
        """The request's headers."""
        if self._headers is None:
            self._headers = Headers(self._request.metadata.get("headers") or ())
        return self._headers

    @property
    def user_agent(self) -> str:
        """What the client says that it is."""
        return str(self.headers.get("user-agent", ""))

    def get_form_data(self) -> Bunch:
        """Fields of a form; of repeated ones the last. Files, of forms that have some, are bytes with a `filename`."""
        content_type = str(self.headers.get("content-type", ""))
        if content_type.lower().startswith("multipart/"):
            found = fields_of(content_type, self._request._body)
            if found is not None:
                return Bunch(found)
        return Bunch(fields_of_text(self._request.text))

    @property
    def _is_form(self) -> bool:
        content_type = str(self.headers.get("content-type", "")).lower()
        is_named = content_type.startswith(("application/x-www-form-urlencoded", "multipart/form-data"))
        return is_named or self._request.data_format in ("form", "post")


def _pairs(value: Any) -> Iterator[Tuple[str, Any]]:
    """The pairs of a dict or of a list of pairs."""
    return iter(value.items() if isinstance(value, dict) else value)


def last_of_each(pairs: Optional[Dict[str, Any]]) -> Bunch:
    """Parameters by name; of those that repeat the last."""
    return Bunch((name, value[-1] if isinstance(value, list) and value else value) for name, value in _pairs(pairs or {}))
