from zato.server.service import Service


class OptionalElements(Service):
    name = "conformance.io.optional_elements"
    input = "name", "-nick", "-is_active", "-line_count"

    def handle(self):
        self.response.payload = dict(self.request.input)
