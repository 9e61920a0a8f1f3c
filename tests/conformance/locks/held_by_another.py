from tenon.locks import LockTimeout
from zato.server.service import Service


class Caller(Service):
    name = "conformance.locks.held_by_another"

    def handle(self):
        with self.lock() as lock:
            tried = self.invoke("conformance.locks.tries", {"name": lock.name, "block": 0.1})
            renewed = lock.renew(30)
        freed = self.invoke("conformance.locks.tries", {"name": lock.name, "block": 5})
        left = self.invoke("conformance.locks.leaves")
        after = self.invoke("conformance.locks.tries", {"name": "conformance.locks.left", "block": 10})
        self.response.payload = {"name": lock.name, "tried": tried, "renewed": renewed, "freed": freed, "left": left, "after": after}


class Tries(Service):
    name = "conformance.locks.tries"

    def handle(self):
        try:
            with self.lock(self.request.payload["name"], block=self.request.payload["block"]):
                self.response.payload = {"got": True}
        except LockTimeout:
            self.response.payload = {"got": False}


class Leaves(Service):
    """Does not give its lock back: it ends with the call."""

    name = "conformance.locks.leaves"

    def handle(self):
        self.response.payload = {"acquired": self.lock("conformance.locks.left", ttl=600).acquire()}
