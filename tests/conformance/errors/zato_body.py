from zato.common.exception import NotFound
from zato.server.service import Service


class ZatoBody(Service):
    name = "conformance.errors.zato_body"

    def handle(self):
        if self.request.input.which == "raised":
            raise NotFound(self.cid, "No such user")
        raise ValueError("inside")
