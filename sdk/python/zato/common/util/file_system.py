"""Names of files, as existing service files import them."""

from zato.common.util.api import fs_safe_name, fs_safe_now

__all__ = ["fs_safe_name", "fs_safe_now"]
