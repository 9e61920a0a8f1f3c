from zato.server.service import Service


class RequestFacts(Service):
    name = "conformance.languages.request_facts"

    def handle(self):
        http = self.request.http
        self.response.payload = {
            "method": http.method,
            "path": http.path,
            "a": http.GET.get("a"),
            "header": http.headers["X-Some"],
            "channel": self.channel.name,
            "type": self.channel.type,
            "has_cid": bool(self.cid),
            "service": self.name,
        }
