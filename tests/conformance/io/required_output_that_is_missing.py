from zato.server.service import Service


class Forgetful(Service):
    name = "conformance.io.required_output_that_is_missing"
    output = "id"

    def handle(self):
        self.response.payload = {"city": "Bern"}
