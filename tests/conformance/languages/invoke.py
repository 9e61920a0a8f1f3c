from tenon import Conflict, ServiceMissing
from zato.server.service import Service


class Invoke(Service):
    name = "conformance.languages.invoke"

    def handle(self):
        order = {"customer": "Anna", "lines": [{"sku": "A", "quantity": 2}]}
        answered = self.invoke("conformance.languages.typed_input", order)
        refused = None
        try:
            self.invoke("conformance.languages.errors", {"error": "conflict"})
        except Conflict as error:
            if self.request.payload.get("pass_on"):
                raise
            refused = [error.status, error.msg]
        try:
            self.invoke("conformance.languages.no_such")
            is_missing = False
        except ServiceMissing:
            is_missing = True
        self.response.payload = {"answered": answered, "refused": refused, "is_missing": is_missing}
