from zato.server.service import Service


class SingleName(Service):
    name = "conformance.io.single_name"
    input = "user_name"
    output = "greeting"

    def handle(self):
        self.response.payload.greeting = f"Hello {self.request.input.user_name}"
