from zato.server.service import Int, Service


class DefaultValue(Service):
    name = "conformance.simpleio.default_value"

    class SimpleIO:
        input_required = "a"
        input_optional = "b", Int("c", default=7)
        output_optional = "b", "c"
        default_value = None

    def handle(self):
        self.response.payload.b = self.request.input.b
        self.response.payload.c = self.request.input.c
