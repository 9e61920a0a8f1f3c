from tenon import Service


class Healthy(Service):
    name = "bench.healthy"

    def handle(self):
        return {"ok": True}
