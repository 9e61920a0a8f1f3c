"""What a service sees of its call, as existing service files import it."""

from tenon.context import HttpRequest as HTTPRequestData
from tenon.context import Request, Response
from tenon.outgoing import Outgoing

__all__ = ["HTTPRequestData", "Outgoing", "Request", "Response"]
