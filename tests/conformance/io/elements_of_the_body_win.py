from zato.server.service import Service


class BodyWins(Service):
    name = "conformance.io.elements_of_the_body_win"
    input = "id"

    def handle(self):
        self.response.payload = dict(self.request.input)
