from zato.server.service import Service


class StateOfACall(Service):
    name = "conformance.service.state_of_a_call"
    shared = []

    def handle(self):
        fresh = not hasattr(self, "mine")
        self.mine = True
        self.environ["key"] = "value"
        self.environ.other = self.environ.key
        type(self).shared.append(1)
        self.response.payload = {"fresh": fresh, "environ": self.environ, "is_shared": len(self.shared) >= 1}
