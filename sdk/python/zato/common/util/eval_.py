"""Values out of texts, as existing service files import them."""

from zato.common.util.api import as_bool, as_list, asbool

__all__ = ["as_bool", "as_list", "asbool"]
