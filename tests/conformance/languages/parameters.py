from zato.server.service import Bool, Int, Service


class Parameters(Service):
    name = "conformance.languages.parameters"
    input = Int("id"), Int("limit"), Bool("is_open")
    output = Int("id"), Int("limit"), Bool("is_open")

    def handle(self):
        self.response.payload = dict(self.request.input)
