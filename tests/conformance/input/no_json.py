from zato.server.service import Service


class NoJson(Service):
    name = "conformance.input.no_json"

    def handle(self):
        self.response.payload = {"got": self.request.payload}
