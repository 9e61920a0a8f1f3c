"""Files, as existing service files open them."""

from typing import IO, Any


def open_r(path: str) -> IO[Any]:
    """A file of text to be read."""
    return open(path, encoding="utf-8")


def open_w(path: str) -> IO[Any]:
    """A file of text to be written."""
    return open(path, "w", encoding="utf-8")


def open_rb(path: str) -> IO[Any]:
    """A file of bytes to be read."""
    return open(path, "rb")


def open_wb(path: str) -> IO[Any]:
    """A file of bytes to be written."""
    return open(path, "wb")


__all__ = ["open_r", "open_rb", "open_w", "open_wb"]
