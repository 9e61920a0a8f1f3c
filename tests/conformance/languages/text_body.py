from zato.server.service import Service


class TextBody(Service):
    name = "conformance.languages.text_body"

    def handle(self):
        self.response.payload = self.request.text.upper()
