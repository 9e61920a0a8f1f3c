from zato.server.service import Service


class StatusAndHeaders(Service):
    name = "conformance.languages.status_and_headers"

    def handle(self):
        self.response.status_code = 201
        self.response.headers["Location"] = "/users/7"
        self.response.payload = {"id": 7}
