"""Exceptions in words, as existing service files import them."""

from zato.common.util.api import pretty_format_exception

__all__ = ["pretty_format_exception"]
