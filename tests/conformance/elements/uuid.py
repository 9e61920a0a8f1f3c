from zato.server.service import UUID, Service


class Uuids(Service):
    name = "conformance.elements.uuid"
    input = UUID("id")
    output = UUID("id"), "version"

    def handle(self):
        self.response.payload.id = self.request.input.id
        self.response.payload.version = type(self.request.input.id).__name__
