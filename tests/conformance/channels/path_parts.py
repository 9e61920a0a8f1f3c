from zato.server.service import Service


class PathParts(Service):
    name = "conformance.channels.path_parts"
    input = "year", "month", "-format"

    def handle(self):
        self.response.payload = dict(self.request.input)
