from http import HTTPStatus

from zato.server.service import Int, Service


class OutputAndErrors(Service):
    name = "conformance.io.output_and_errors"
    input = "which"
    output = "id", Int("-count")

    def handle(self):
        which = self.request.input.which
        if which == "missing":
            self.response.status_code = HTTPStatus.NOT_FOUND
            self.response.payload = {"error": "There is no such thing", "which": which}
        elif which == "partly":
            self.response.status_code = HTTPStatus.CONFLICT
            self.response.payload = {"id": 7, "more": 1}
        elif which == "wrong":
            self.response.payload = {"id": 7, "count": "many"}
        else:
            self.response.payload = {"id": 7, "count": "5", "more": 1}
