from zato.server.service import Int, Service


class InputAndOutput(Service):
    name = "conformance.simpleio.input_and_output"

    class SimpleIO:
        input = "name", Int("-age")
        output = "name", "-age"

    def handle(self):
        self.response.payload = self.request.input
