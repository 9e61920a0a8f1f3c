from zato.server.service import Service


class Plain(Service):
    name = "conformance.simpleio.plain"

    class SimpleIO:
        input_required = ("name",)
        input_optional = ("nick", "is_new")
        output_required = "greeting"
        output_optional = ("nick",)

    def handle(self):
        self.response.payload.greeting = f"Hello {self.request.input.name}"
        self.response.payload.nick = self.request.input.nick
