from zato.server.service import Service


class OutputRepeated(Service):
    name = "conformance.simpleio.output_repeated"

    class SimpleIO:
        output_required = "id", "name"
        output_repeated = True

    def handle(self):
        if self.request.payload == "append":
            self.response.payload.append({"id": 1, "name": "a"})
            self.response.payload.append({"id": 2, "name": "b"})
        else:
            self.response.payload[:] = [{"id": 1, "name": "a", "more": 1}]
