from zato.server.service import Bool, Int, Nested, Service


class NestedElements(Service):
    name = "conformance.elements.nested"
    input = Nested("customer", "name", Nested("-address", "street", Int("-zip")))
    output = Nested("customer", "name", Bool("is_local"))

    def handle(self):
        customer = self.request.input.customer
        self.response.payload.customer.name = customer.name
        self.response.payload.customer.is_local = bool(customer.address and customer.address.zip == 8000)
