from zato.server.service import Int, Service


class OutputOfAList(Service):
    name = "conformance.io.output_of_a_list"
    output = Int("id"), "-city"

    def handle(self):
        self.response.payload = [{"id": "1", "x": 1}, {"id": 2, "city": "Bern"}]
