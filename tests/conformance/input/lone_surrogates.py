from zato.server.service import Service


class LoneSurrogates(Service):
    name = "conformance.input.lone_surrogates"
    input = "-name"

    def handle(self):
        self.response.payload = {"length": len(self.request.input.name)}
