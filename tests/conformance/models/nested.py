from zato.common.typing_ import list_
from zato.server.service import Model, Service, dataclass


@dataclass(init=False)
class Line(Model):
    sku: str
    qty: int


@dataclass(init=False)
class Customer(Model):
    name: str


@dataclass(init=False)
class Order(Model):
    id: int
    customer: Customer
    lines: list_[Line]


@dataclass(init=False)
class Summary(Model):
    id: int
    customer: str
    total: int


class NestedModels(Service):
    name = "conformance.models.nested"
    input = Order
    output = Summary

    def handle(self):
        order = self.request.input
        summary = Summary()
        summary.id = order.id
        summary.customer = order.customer.name
        summary.total = sum(line.qty for line in order.lines)
        self.response.payload = summary
