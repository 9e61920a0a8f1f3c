from zato.server.service import Service


class Access(Service):
    name = "conformance.io.attribute_and_key_access"
    input = "name", "-city"

    def handle(self):
        given = self.request.input
        self.response.payload = {
            "attribute": given.name,
            "key": given["name"],
            "get": given.get("more", "none"),
            "in": "city" in given,
            "keys": sorted(given),
        }
