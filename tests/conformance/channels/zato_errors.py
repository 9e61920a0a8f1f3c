from zato.common.exception import BadRequest
from zato.server.service import Service


class ZatoErrors(Service):
    name = "conformance.channels.zato_errors"

    def handle(self):
        if self.request.payload["how"] == "refuse":
            raise BadRequest(self.cid, "The order is empty", needs_msg=True)
        raise ValueError("inside")
