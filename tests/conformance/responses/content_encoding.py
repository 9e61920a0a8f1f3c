import gzip

from zato.server.service import Service


class ContentEncoding(Service):
    name = "conformance.responses.content_encoding"

    def handle(self):
        self.response.payload = gzip.compress(b"small")
        self.response.content_encoding = "gzip"
        self.response.content_type = "text/plain"
