from zato.server.service import Service


class RestOfPath(Service):
    name = "conformance.channels.rest_of_path"

    def handle(self):
        self.response.payload = {"params": dict(self.request.http.params), "method": self.request.http.method}
