from zato.server.service import Service

TOLD = "conformance.languages.told"


class FanOut(Service):
    name = "conformance.languages.fan_out"

    def handle(self):
        if self.request.payload.get("ask"):
            self.response.payload = {"told": self.cache.default.get("languages-fan-out")}
            return
        targets = {TOLD: {"key": "one", "value": 1}, "conformance.languages.also_told": {"key": "two", "value": 2}}
        cid = self.patterns.fanout.invoke(targets, TOLD)
        self.response.payload = {"has_cid": bool(cid)}


class AlsoTold(Service):
    name = "conformance.languages.also_told"

    def handle(self):
        self.response.payload = self.request.payload["value"]
