from zato.server.service import Service


class RawBody(Service):
    name = "conformance.languages.raw_body"

    def handle(self):
        self.response.content_type = "application/octet-stream"
        self.response.payload = bytes(reversed(self.request.raw_request))
