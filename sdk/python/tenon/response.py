"""What a service answers, as it is put together."""

from typing import Any, Dict, List, Optional, Union

from .bunch import Bunch
from .lazy import UNSET


class Payload(Bunch):
    """A response that is put together by attributes: `self.response.payload.user.name = 'x'` makes what is missing."""

    __slots__ = ("_rows",)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in ("to_dict", "isoformat"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            return _Missing(self, name)

    def __setattr__(self, name: str, value: Any, set: Any = dict.__setitem__) -> None:
        set(self, name, value)

    def __setitem__(self, name: Any, value: Any) -> None:
        if isinstance(name, slice):
            # self.response.payload[:] = rows
            self.extend(value)
        else:
            dict.__setitem__(self, name, value)

    def __reduce__(self) -> Any:
        # What copies and pickles are made of.
        return Payload, (dict(self),)

    def append(self, row: Any) -> None:
        """Makes the response a list, with this at its end."""
        self.extend([row])

    def extend(self, rows: Any) -> None:
        """Makes the response a list, with these at its end."""
        object.__setattr__(self, "_rows", [*(self.rows() or ()), *rows])

    def rows(self) -> Optional[List[Any]]:
        """What was appended; None if nothing was."""
        rows: Optional[List[Any]] = getattr(self, "_rows", None)
        return rows


class _Missing(Payload):
    """A part of a response that was asked for, and is there once something is set in it."""

    __slots__ = ("_owner",)

    def __init__(self, owner: Payload, name: str) -> None:
        super().__init__()
        object.__setattr__(self, "_owner", (owner, name))

    def _become(self, value: Any) -> None:
        if self._owner is not None:
            owner, name = self._owner
            object.__setattr__(self, "_owner", None)
            owner[name] = value

    def __setattr__(self, name: str, value: Any, set: Any = dict.__setitem__) -> None:
        self[name] = value

    def __setitem__(self, name: Any, value: Any) -> None:
        if not isinstance(name, slice):
            self._become(self)
        super().__setitem__(name, value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        self._become(self)
        super().update(*args, **kwargs)

    def setdefault(self, name: str, default: Any = None) -> Any:
        self._become(self)
        return super().setdefault(name, default)

    def extend(self, rows: Any) -> None:
        self._become(list(rows))


class Response:
    """What a service answers."""

    status_code: Union[int, str] = 200
    content_encoding: Optional[str] = None
    status_message: str = "OK"
    data_format: Optional[str] = None
    _payload: Any = UNSET
    _headers: Optional[Dict[str, str]] = None
    _content_type: Optional[str] = None

    @property
    def content_type(self) -> Optional[str]:
        """The media type; also what `headers` have as Content-Type."""
        if self._headers:
            for name, value in self._headers.items():
                if str(name).lower() == "content-type":
                    return str(value)
        return self._content_type

    @content_type.setter
    def content_type(self, value: Optional[str]) -> None:
        self._content_type = value

    @property
    def payload(self) -> Any:
        """The body: None, text, bytes, or anything that can be written as JSON."""
        if self._payload is UNSET:
            self._payload = Payload()
        return self._payload

    @payload.setter
    def payload(self, value: Any) -> None:
        self._payload = value

    @property
    def headers(self) -> Dict[str, str]:
        """Further headers of the answer."""
        if self._headers is None:
            self._headers = {}
        return self._headers

    @headers.setter
    def headers(self, value: Dict[str, str]) -> None:
        self._headers = value
