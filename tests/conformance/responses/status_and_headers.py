from http import HTTPStatus

from zato.server.service import Service


class StatusAndHeaders(Service):
    name = "conformance.responses.status_and_headers"

    def handle(self):
        self.response.status_code = HTTPStatus.CREATED
        self.response.headers["Location"] = "/users/7"
        self.response.headers["X-Count"] = 3
        self.response.content_type = "application/vnd.user+json"
        self.response.payload = {"id": 7}
