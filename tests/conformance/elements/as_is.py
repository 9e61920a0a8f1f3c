from zato.server.service import AsIs, ForceType, Opaque, Service


class AsItIs(Service):
    name = "conformance.elements.as_is"
    input = AsIs("is_a"), Opaque("-b_count"), ForceType("-c")

    def handle(self):
        self.response.payload = {key: [type(value).__name__, value] for key, value in self.request.input.items()}
