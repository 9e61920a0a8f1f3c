from zato.server.service import Service


class SecurityFacts(Service):
    name = "conformance.http.security"

    def handle(self):
        security = self.channel.security
        self.response.payload = {"name": security.name, "type": security.type, "username": security.username, "dict": security.to_dict()}
