from zato.server.service import Service


class Undeclared(Service):
    name = "conformance.input.huge_numbers_undeclared"

    def handle(self):
        self.response.payload = {"got": self.request.payload}
