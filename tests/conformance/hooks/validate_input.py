from zato.common.exception import BadRequest
from zato.server.service import Service


class ValidateInput(Service):
    name = "conformance.hooks.validate_input"
    input = "amount"

    def validate_input(self):
        if int(self.request.input.amount) > 100:
            raise BadRequest(self.cid, "Too much")

    def handle(self):
        self.response.payload = {"amount": self.request.input.amount}
