from zato.server.service import CSV, Service


class CsvElement(Service):
    name = "conformance.elements.csv"
    input = CSV("ids"), CSV("-more")
    output = CSV("ids"), "first"

    def handle(self):
        self.response.payload.ids = self.request.input.ids
        self.response.payload.first = self.request.input.ids[0]
