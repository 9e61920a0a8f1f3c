from zato.server.service import Service


class DuplicateKeys(Service):
    name = "conformance.input.duplicate_keys"

    def handle(self):
        self.response.payload = {"got": self.request.payload}
