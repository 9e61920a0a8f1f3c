from zato.server.service import Service


class Accepts(Service):
    name = "conformance.hooks.accept"

    def accept(self):
        return self.request.payload != "no"

    def handle(self):
        self.response.payload = "handled"
