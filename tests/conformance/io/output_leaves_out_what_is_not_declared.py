from zato.server.service import Service


class Output(Service):
    name = "conformance.io.output_leaves_out_what_is_not_declared"
    output = "id", "-city", "is_active"

    def handle(self):
        self.response.payload = {"id": 7, "is_active": "yes", "internal": "x"}
