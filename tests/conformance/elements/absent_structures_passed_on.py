from zato.server.service import Bool, Date, Dict, DictList, Float, Int, List, Nested, Service


class AbsentStructuresPassedOn(Service):
    name = "conformance.elements.absent_structures_passed_on"
    input = "id", Nested("-address", "street", Int("-zip")), DictList("-lines", "sku"), Dict("-options", "-a"), List("-tags"), Int("-page"), Float("-rate"), Bool("-is_new"), Date("-since")
    output = input

    def handle(self):
        self.response.payload = self.request.input
