"""The time, as existing service files import it."""

from zato.common.util.api import datetime_from_ms, utcnow, utcnow_as_ms

__all__ = ["datetime_from_ms", "utcnow", "utcnow_as_ms"]
