from zato.server.service import Date, Dict, DictList, Int, Service


class DictsWithElements(Service):
    name = "conformance.elements.dicts_with_elements"
    input = Dict("customer", "name", Int("-age")), DictList("lines", "sku", Int("quantity"), Date("-until"))

    def handle(self):
        given = self.request.input
        self.response.payload = {"name": given.customer.name, "total": sum(line.quantity for line in given.lines)}
