from zato.server.service import UTC, Service, Text, Unicode


class Texts(Service):
    name = "conformance.elements.text"
    input = Text("a"), Unicode("-b"), UTC("-c")

    def handle(self):
        self.response.payload = dict(self.request.input)
