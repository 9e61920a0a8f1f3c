from zato.server.service import Service


class NamedByAMethod(Service):
    @staticmethod
    def get_name():
        return "conformance.service.named_by_a_method"

    def handle(self):
        self.response.payload = {"name": self.name}
