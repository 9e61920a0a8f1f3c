"""The measured service for Tenon: reads a small order, adds up its lines, answers with three fields."""
from zato.server.service import Service


class Order(Service):
    name = "bench.order"

    def handle(self):
        order = self.request.payload
        total = sum(line["quantity"] * line["price"] for line in order["lines"])
        self.response.payload = {"order": order["id"], "customer": order["customer"]["name"], "total": total}
