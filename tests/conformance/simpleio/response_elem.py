from zato.server.service import Service


class ResponseElem(Service):
    name = "conformance.simpleio.response_elem"

    class SimpleIO:
        output_required = "a"
        response_elem = "my_response"

    def handle(self):
        self.response.payload.a = 1
