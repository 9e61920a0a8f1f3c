from zato.server.service import Service


class RawRequest(Service):
    name = "conformance.http.raw_request"

    def handle(self):
        raw = self.request.raw_request
        self.response.payload = {
            "type": type(raw).__name__,
            "size": len(raw),
            "same": raw == self.request.raw,
            "text": self.request.text,
            "payload": self.request.payload,
        }
