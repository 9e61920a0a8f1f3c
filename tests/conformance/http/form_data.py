from zato.server.service import Service


class FormData(Service):
    name = "conformance.http.form_data"

    def handle(self):
        self.response.payload = {"POST": self.request.http.POST, "form": self.request.http.get_form_data(), "payload": self.request.payload}
