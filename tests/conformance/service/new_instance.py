from zato.server.service import Service


class Library(Service):
    name = "conformance.service.library"

    def price(self, amount):
        return {"price": amount * 2, "cid": self.cid}

    def handle(self):
        raise ValueError("not run")


class NewInstance(Service):
    name = "conformance.service.new_instance"

    def handle(self):
        found = self.new_instance("conformance.service.library").price(4)
        self.response.payload = {"price": found["price"], "same": found["cid"] == self.cid}
