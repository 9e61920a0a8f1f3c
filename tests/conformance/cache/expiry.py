from zato.server.service import Service


class Expiry(Service):
    name = "conformance.cache.expiry"

    def handle(self):
        cache = self.cache.default
        if self.request.input.get("look"):
            self.response.payload = {"short": cache.get("conformance.expiry.short"), "long": cache.get("conformance.expiry.long")}
        else:
            cache.set("conformance.expiry.short", 1, expiry=0.2)
            cache.set("conformance.expiry.long", 2, expiry=60)
