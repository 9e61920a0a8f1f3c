from zato.server.service import Service


class Secrets(Service):
    name = "conformance.io.secrets_are_text"
    input = "password", "token", "-api_key"

    def handle(self):
        self.log_input("hello")
        self.response.payload = {"length": len(self.request.input.password), "api_key": self.request.input.api_key}
