from zato.common.exception import (
    BadRequest,
    Conflict,
    Forbidden,
    HTTPException,
    InternalServerError,
    MethodNotAllowed,
    NotFound,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
)
from zato.server.service import Service


class ForTheCaller(Service):
    name = "conformance.errors.for_the_caller"

    def handle(self):
        which = self.request.input.which
        if which == "bad-request":
            raise BadRequest(self.cid, "Wrong id", needs_msg=True)
        if which == "unauthorized":
            raise Unauthorized(self.cid, "Who are you?", 'Basic realm="users"')
        if which == "forbidden":
            raise Forbidden(self.cid, "Not for you")
        if which == "not-found":
            raise NotFound(self.cid, "No such user")
        if which == "method":
            raise MethodNotAllowed(self.cid, "Not so")
        if which == "conflict":
            raise Conflict(self.cid, "It exists")
        if which == "too-many":
            raise TooManyRequests(self.cid, "Slower", retry_after=7)
        if which == "internal":
            raise InternalServerError(self.cid, "Broken")
        if which == "unavailable":
            raise ServiceUnavailable(self.cid, "Later")
        if which == "only-cid":
            raise NotFound(self.cid)
        if which == "only-message":
            raise NotFound("No such thing")
        raise HTTPException(self.cid, "I am a teapot", 418)
