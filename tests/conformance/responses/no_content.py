from zato.server.service import Service


class NoContent(Service):
    name = "conformance.responses.no_content"

    def handle(self):
        self.response.status_code = 204
