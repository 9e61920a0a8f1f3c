from zato.common.exception import BadRequest, Forbidden, NotFound
from tenon import Conflict
from zato.server.service import Service


class Errors(Service):
    name = "conformance.languages.errors"
    input = "error"

    def handle(self):
        error = self.request.input.error
        if error == "bad-request":
            raise BadRequest(self.cid, "This is wrong")
        if error == "forbidden":
            raise Forbidden(self.cid, "Not you")
        if error == "not-found":
            raise NotFound(self.cid, "There is no such thing")
        if error == "conflict":
            raise Conflict(self.cid, "It is taken")
        raise ValueError("a secret of the service")
