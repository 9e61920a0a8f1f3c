"""What the other side of a REST connection answered."""

from datetime import timedelta
from typing import Any, Dict, Iterator, Optional

from . import payloads
from .errors import OutgoingError
from .http_request import Headers


class RestResponse:
    """What the other side of a REST connection answered."""

    def __init__(self, cid: str, status_code: int, reason: str, headers: Any, content: bytes, elapsed: timedelta = timedelta()) -> None:
        self.cid = cid
        self.status_code = status_code
        self.reason = reason
        self.headers = Headers(headers)
        self.content = content
        self.elapsed = elapsed
        """How long it took."""

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status_code < 400

    def __bool__(self) -> bool:
        return self.ok

    @property
    def encoding(self) -> str:
        """The character set that the answer names; UTF-8 if it names none."""
        for part in str(self.headers.get("content-type", "")).split(";")[1:]:
            name, _, value = part.strip().partition("=")
            if name.lower() == "charset" and value:
                return value.strip('"')
        return "utf-8"

    @property
    def text(self) -> str:
        """The body as text; bytes that are none are replaced."""
        try:
            return self.content.decode(self.encoding, "replace")
        except LookupError:
            return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON; ValueError if it is none."""
        return payloads.loads(self.text)

    @property
    def data(self) -> Any:
        """The body as JSON if it is JSON, otherwise as text; None if there is none."""
        if not self.content:
            return None
        try:
            return self.json()
        except ValueError:
            return self.text

    @property
    def cookies(self) -> Dict[str, str]:
        """Cookies that the answer sets, by name."""
        from http.cookies import CookieError, SimpleCookie

        try:
            return {name: morsel.value for name, morsel in SimpleCookie(self.headers.get("set-cookie", "")).items()}
        except CookieError:
            return {}

    def iter_lines(self, *args: Any, decode_unicode: bool = False, **kwargs: Any) -> Iterator[Any]:
        """The lines of the body, as bytes or as text."""
        return iter(self.text.splitlines() if decode_unicode else self.content.splitlines())

    def iter_content(self, chunk_size: Optional[int] = 1, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        """The body in pieces of so many bytes."""
        size = chunk_size or max(1, len(self.content))
        return iter([self.content[start : start + size] for start in range(0, len(self.content), size)])

    def close(self) -> None:
        """Nothing: the body is here."""

    def raise_for_status(self) -> None:
        """Raises if the status is 400 or above."""
        if not self.ok:
            raise OutgoingError(f"the other side answered with {self.status_code} {self.reason}", 502, "Status")

    def __repr__(self) -> str:
        return f"<RestResponse {self.status_code}>"
