from zato.server.service import Service


class NoResponseElem(Service):
    name = "conformance.simpleio.no_response_elem"

    class SimpleIO:
        output_required = "a"
        response_elem = None

    def handle(self):
        self.response.payload.a = 1
