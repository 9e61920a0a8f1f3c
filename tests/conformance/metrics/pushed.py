from zato.server.service import Service


class Pushed(Service):
    name = "conformance.metrics.pushed"

    def handle(self):
        self.metrics.incr("conformance_orders")
        self.metrics.push("conformance_queue", 7)
        with self.metrics.timer("conformance_seconds"):
            pass
        self.response.payload = "pushed"
