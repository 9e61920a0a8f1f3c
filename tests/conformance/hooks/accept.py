from zato.server.service import Service


class Accepts(Service):
    name = "conformance.hooks.accept"

    def accept(self):
        if self.request.payload == "later":
            self.response.status_code = 202
        return self.request.payload not in ("no", "later")

    def handle(self):
        self.response.payload = "handled"
