from zato.server.service import Int, Service


class Row:
    def __init__(self, id, name):
        self.id = id
        self.name = name


class OutputOfObjects(Service):
    name = "conformance.io.output_of_objects"
    output = Int("id"), "name"

    def handle(self):
        self.response.payload = [Row(1, "a"), Row(2, "b")]
