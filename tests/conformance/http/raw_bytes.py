from zato.server.service import Service


class RawBytes(Service):
    name = "conformance.http.raw_bytes"

    def handle(self):
        self.response.payload = {"payload": type(self.request.payload).__name__, "size": len(self.request.raw)}
