"""Words of HTTP, as existing service files import them."""

from http import HTTPStatus

HTTP_RESPONSES = {int(status): status.phrase for status in HTTPStatus}
"""What each status means, in words."""

__all__ = ["HTTP_RESPONSES"]
