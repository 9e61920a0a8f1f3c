from tenon import Service


class ApiKey(Service):
    name = "conformance.security.api_key"

    def handle(self) -> None:
        security = self.channel.security
        self.response.payload = {"name": security.name, "type": security.type, "username": security.username, "claims": security.claims}
