from zato.server.service import Service


class Spawns(Service):
    name = "conformance.service.spawn"

    def handle(self):
        first = self.spawn(pow, 2, 5)
        second = self.run_in_thread(self.invoke, "conformance.service.spawned", {"a": 1})
        third = self.spawn(int, "x")
        third.join()
        self.response.payload = {"first": first.get(), "second": second.get(timeout=20), "third": type(third.exception).__name__}


class Spawned(Service):
    name = "conformance.service.spawned"

    def handle(self):
        self.response.payload = {"got": self.request.payload}
