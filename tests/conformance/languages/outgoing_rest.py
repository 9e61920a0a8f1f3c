from zato.server.service import Service


class OutgoingRest(Service):
    name = "conformance.languages.outgoing_rest"

    def handle(self):
        connection = self.out.rest["Conformance languages"].conn
        response = connection.post(self.cid, {"customer": "Anna", "lines": []}, {"name": "typed_input"})
        wrong = connection.post(self.cid, {}, {"name": "typed_input"})
        self.response.payload = {"status": response.status_code, "data": response.data, "wrong": wrong.status_code}
