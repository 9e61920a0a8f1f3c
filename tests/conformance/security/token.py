from tenon import Service


class Token(Service):
    name = "conformance.security.token"

    def handle(self) -> None:
        security = self.channel.security
        self.response.payload = {"name": security.name, "type": security.type, "username": security.username, "claims": security.claims}
