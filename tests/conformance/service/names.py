from zato.server.service import Service


class GetUserByID(Service):
    def handle(self):
        self.response.payload = {"name": self.name, "get_name": self.get_name(), "impl_name": self.impl_name, "cid": len(self.cid) > 10}


class Named(Service):
    name = "conformance.service.named"

    def handle(self):
        self.response.payload = {"name": self.name}
