from tenon import Service


class Nothing(Service):
    name = "bench.nothing"

    def handle(self):
        self.response.payload = {"ok": True}
