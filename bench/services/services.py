"""The measured services. `bench.order` is the small one that Granian's has to be compared with."""
import os
import time

from zato.server.service import Service


class Order(Service):
    name = "bench.order"

    def handle(self):
        order = self.request.payload
        total = sum(line["quantity"] * line["price"] for line in order["lines"])
        self.response.payload = {"order": order["id"], "customer": order["customer"]["name"], "total": total}


class OrderWithCache(Service):
    name = "bench.order-with-cache"

    def handle(self):
        order = self.request.payload
        total = sum(line["quantity"] * line["price"] for line in order["lines"])
        self.cache.get("bench")
        self.response.payload = {"order": order["id"], "customer": order["customer"]["name"], "total": total}


class OrderWithInvoke(Service):
    name = "bench.order-with-invoke"

    def handle(self):
        order = self.request.payload
        total = sum(line["quantity"] * line["price"] for line in order["lines"])
        self.invoke("bench.nothing")
        self.response.payload = {"order": order["id"], "customer": order["customer"]["name"], "total": total}


class Nothing(Service):
    name = "bench.nothing"

    def handle(self):
        pass


class Sleep(Service):
    name = "bench.sleep"

    def handle(self):
        time.sleep(0.05)


class Healthy(Service):
    name = "bench.healthy"
    idempotent = True

    def handle(self):
        self.response.payload = {"ok": True}


class Stuck(Service):
    name = "bench.stuck"

    def handle(self):
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass


class Leaking(Service):
    name = "bench.leaking"
    kept = []

    def handle(self):
        self.kept.append(b"x" * (32 << 20))


class Crashing(Service):
    name = "bench.crashing"

    def handle(self):
        os._exit(3)
