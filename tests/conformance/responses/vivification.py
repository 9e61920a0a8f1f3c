from zato.server.service import Service


class Vivification(Service):
    name = "conformance.responses.vivification"

    def handle(self):
        self.response.payload.user.address.city = "Bern"
        self.response.payload.user.name = "Anna"
        self.response.payload["count"] = 2
