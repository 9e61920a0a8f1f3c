"""User configuration: the files that administrators write for services, as `self.config.<file>.<section>.<key>`."""

from typing import Any, List, Optional

from . import payloads
from .bunch import Bunch, bunchify


class Configuration(Bunch):
    """All files by their names without the ending; their sections and keys are attributes and keys.

    The values are those of the servers, in which `$NAME` is replaced already; they change for the next call when a file changes.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            # Dashes are common in the names of files, but can't be in those of attributes.
            dashed = name.replace("_", "-")
            if dashed in self:
                return self[dashed]
            raise AttributeError(f"there is no configuration file '{name}'; there are: {', '.join(sorted(self)) or 'none'}") from None


def configuration_of(host: Any) -> Configuration:
    """The configuration as services see it, made once for each version that the server sends."""
    held: List[Any] = host.configuration
    made: Optional[Configuration] = held[1]
    if made is None:
        sent = payloads.loads(str(held[0], "utf-8")) if held[0] else {}
        made = held[1] = Configuration((name, bunchify(sections)) for name, sections in (sent.get("files") or {}).items())
    return made
