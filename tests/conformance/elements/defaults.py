from zato.server.service import Bool, Int, List, Service, Text


class Defaults(Service):
    name = "conformance.elements.defaults"
    input = Int("a", default=5), Bool("b", default=True), Text("c", default=None), List("-d", default=[1])

    def handle(self):
        self.response.payload = dict(self.request.input)
