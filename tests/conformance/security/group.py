from tenon import Service


class Group(Service):
    name = "conformance.security.group"

    def handle(self) -> None:
        security = self.channel.security
        self.response.payload = {"name": security.name, "type": security.type, "username": security.username, "claims": security.claims}
