from zato.server.service import Service


class Released(Service):
    name = "conformance.locks.released_when_the_call_ends"

    def handle(self):
        lock = self.lock("conformance.lock.released", ttl=60, block=20)
        lock.acquire()
        self.response.payload = {"acquired": True}
