"""What existing service files import from here; see also `zato.common.api`, `zato.common.exception` and `zato.common.typing_`."""

from typing import Any

_IN_API = ("CHANNEL", "DATA_FORMAT", "SCHEDULER", "URL_TYPE", "CACHE", "PUBSUB", "HTTP_SOAP", "SEC_DEF_TYPE", "SMTPMessage", "ZATO_OK")


def __getattr__(name: str) -> Any:
    if name in _IN_API:
        from zato.common import api

        return getattr(api, name)
    from zato.common import exception

    if name in exception.__all__:
        return getattr(exception, name)
    raise AttributeError(f"module 'zato.common' has no attribute '{name}'")
