from zato.server.service import Service


class Parameters(Service):
    name = "conformance.io.path_and_query_parameters"
    input = "id", "-page_count", "-name"

    def handle(self):
        self.response.payload = dict(self.request.input)
