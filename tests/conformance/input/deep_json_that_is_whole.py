from zato.server.service import Service


class DeepJson(Service):
    name = "conformance.input.deep_json_that_is_whole"
    input = "-a", "-name"

    def handle(self):
        self.response.payload = {"a": self.request.input.a}
