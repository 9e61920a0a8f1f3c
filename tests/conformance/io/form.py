from zato.server.service import Service


class Form(Service):
    name = "conformance.io.form"
    input = "name", "-is_new"

    def handle(self):
        self.response.payload = {"input": dict(self.request.input), "form": self.request.http.get_form_data()}
