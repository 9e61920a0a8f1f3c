from zato.server.service import Service


class DeclaredAsText(Service):
    name = "conformance.io.declared_as_text"
    input = "a, -b"
    output = "a,-b"

    def handle(self):
        self.response.payload.a = self.request.input.a
        self.response.payload.b = self.request.input.b
