"""What a service sees of its call, as existing service files import it."""

from tenon.context import Request
from tenon.http_request import HttpRequest as HTTPRequestData
from tenon.outgoing import Outgoing
from tenon.response import Response

__all__ = ["HTTPRequestData", "Outgoing", "Request", "Response"]
