from zato.server.service import Service


class UntypedStructures(Service):
    name = "conformance.io.untyped_structures"
    input = "number", "flag", "nothing", "object", "array"

    def handle(self):
        self.response.payload = dict(self.request.input)
