from zato.server.service import Service


class InvalidUtf8(Service):
    name = "conformance.input.invalid_utf8"
    input = "name"

    def handle(self):
        self.response.payload = {"name": self.request.input.name}
