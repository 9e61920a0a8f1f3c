from zato.server.service import Service


class Bytes(Service):
    name = "conformance.responses.bytes"

    def handle(self):
        self.response.payload = b"%PDF-1.4"
        self.response.content_type = "application/pdf"
