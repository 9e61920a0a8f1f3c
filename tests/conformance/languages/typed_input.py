from dataclasses import dataclass
from typing import List

from zato.server.service import Model, Service


@dataclass(init=False)
class Line(Model):
    sku: str
    quantity: int


@dataclass(init=False)
class Order(Model):
    customer: str
    lines: List[Line]


class TypedInput(Service):
    name = "conformance.languages.typed_input"
    input = Order

    def handle(self):
        order = self.request.input
        first = order.lines[0].sku if order.lines else None
        self.response.payload = {"customer": order.customer, "pieces": sum(line.quantity for line in order.lines), "first": first}
