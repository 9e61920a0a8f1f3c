from dataclasses import dataclass

from zato.common.typing_ import anylist, list_, list_field, optional, strnone
from zato.server.service import Model, Service


@dataclass(init=False)
class Item(Model):
    sku: str
    quantity: int
    price: float


@dataclass(init=False)
class OrderRequest(Model):
    customer_id: int
    items: list_[Item]
    coupon: strnone = None


@dataclass(init=False)
class OrderLine(Model):
    sku: str
    total: float


@dataclass(init=False)
class OrderResponse(Model):
    order_id: str
    lines: list_[OrderLine] = list_field()
    total: float
    warnings: optional[anylist] = None


class CreateOrder(Service):
    name = "conformance.models.a_longer_example"

    input = OrderRequest
    output = OrderResponse

    def handle(self):
        request: OrderRequest = self.request.input
        response = OrderResponse()
        response.order_id = f"{request.customer_id}-{len(request.items)}"
        response.lines = []
        for item in request.items:
            line = OrderLine()
            line.sku = item.sku
            line.total = item.quantity * item.price
            response.lines.append(line)
        response.total = sum(line.total for line in response.lines)
        if request.coupon:
            checked = self.invoke(CheckCoupon, coupon=request.coupon)
            response.total -= checked["discount"]
        self.response.payload = response


class CheckCoupon(Service):
    name = "conformance.models.check_coupon"
    input = "coupon"
    output = "discount"

    def handle(self):
        return {"discount": {"FIVE": 5}.get(self.request.input.coupon, 0)}
