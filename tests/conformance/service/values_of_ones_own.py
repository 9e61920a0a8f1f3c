from zato.server.service import Service


class ValuesOfOnesOwn(Service):
    name = "conformance.service.values_of_ones_own"

    def before_handle(self):
        self.request.payload = {"items": [*self.request.payload["items"], 3]}

    def handle(self):
        # All that a service has is its own, whatever else has the name.
        self.config = {"max": 5}
        self.usage = "mine"
        self.redis = object
        self.data_format = "csv"
        self.cid = f"{self.cid}-1"
        self.response.payload = {
            "items": self.request.payload["items"],
            "mine": [self.config["max"], self.usage, self.redis is object, self.data_format],
            "cid": self.cid == f"{self.request.cid}-1",
        }
