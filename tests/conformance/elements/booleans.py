from zato.server.service import Bool, Boolean, Service


class Booleans(Service):
    name = "conformance.elements.booleans"
    input = Bool("a"), Boolean("-b")

    def handle(self):
        self.response.payload = dict(self.request.input)
