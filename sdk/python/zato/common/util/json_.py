"""JSON, as existing service files import it."""

from zato.common.json_internal import dumps, loads

__all__ = ["dumps", "loads"]
