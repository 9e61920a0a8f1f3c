from tenon import Service


class Limit(Service):
    name = "conformance.security.limit"

    def handle(self) -> None:
        security = self.channel.security
        self.response.payload = {"name": security.name, "type": security.type, "username": security.username, "claims": security.claims}
