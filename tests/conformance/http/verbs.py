from zato.server.service import Service


class Verbs(Service):
    name = "conformance.http.verbs"

    def handle(self):
        self.response.payload = {"verb": "none"}

    def handle_GET(self):
        self.response.payload = {"verb": "GET", "id": self.request.http.params.get("id")}

    def handle_POST(self):
        self.response.payload = {"verb": "POST"}

    def handle_PATCH(self):
        self.response.payload = {"verb": "PATCH"}

    def handle_DELETE(self):
        self.response.status_code = 204
