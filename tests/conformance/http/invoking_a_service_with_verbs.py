from zato.server.service import Service


class Caller(Service):
    name = "conformance.http.invoking_a_service_with_verbs"

    def handle(self):
        self.response.payload = {"got": self.invoke("conformance.http.target_with_verbs", {"a": 1})}


class Target(Service):
    name = "conformance.http.target_with_verbs"

    def handle(self):
        self.response.payload = {"handle": self.request.input.a}

    def handle_GET(self):
        self.response.payload = {"verb": "GET"}
