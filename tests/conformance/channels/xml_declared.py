from zato.server.service import Int, Service


class XmlDeclared(Service):
    name = "conformance.channels.xml_declared"
    input = "customer", Int("-page")
    output = "customer", Int("page")

    def handle(self):
        self.response.payload.customer = self.request.input.customer
        self.response.payload.page = self.request.input.page
