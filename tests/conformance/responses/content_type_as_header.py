from http import HTTPStatus

from zato.server.service import Service


class ContentTypeAsHeader(Service):
    name = "conformance.responses.content_type_as_header"

    def handle(self):
        self.response.status_code = HTTPStatus.ACCEPTED
        self.response.headers["Content-Type"] = "text/csv"
        self.response.payload = "id,name\n"
