from zato.server.service import Service


class Vivification(Service):
    name = "conformance.responses.vivification_of_what_is_set"

    def handle(self):
        payload = self.response.payload
        payload.user.name = "Anna"
        if not payload.error and payload.user.status != "locked":
            payload.user.address.update({"city": "Bern"})
        payload.lines.append({"sku": "a"})
        payload.lines.append({"sku": "b"})
        payload.totals["net"] = 5
        payload.seen = [bool(payload.nothing.at.all), "nothing" in payload]
