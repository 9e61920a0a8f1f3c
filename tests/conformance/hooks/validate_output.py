from zato.common.exception import Conflict
from zato.server.service import Service


class ValidateOutput(Service):
    name = "conformance.hooks.validate_output"

    def handle(self):
        return {"size": 3}

    def validate_output(self):
        if self.response.payload["size"] == 3:
            raise Conflict(self.cid, "Not so")
