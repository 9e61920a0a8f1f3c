from zato.server.service import Service


class Undeclared(Service):
    name = "conformance.io.undeclared"

    def handle(self):
        self.response.payload = {"payload": self.request.payload, "input": self.request.input}
