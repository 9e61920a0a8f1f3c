from zato.server.service import Service


class Methods(Service):
    name = "conformance.languages.methods"

    def handle_GET(self):
        self.response.payload = {"got": True}

    def handle_DELETE(self):
        self.response.status_code = 204
