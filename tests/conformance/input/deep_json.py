from zato.server.service import Service


class DeepJson(Service):
    name = "conformance.input.deep_json"

    def handle(self):
        self.response.payload = {"payload": self.request.payload, "input": self.request.input}
