from zato.server.service import Service

KEY = "languages-schedule"


class Schedule(Service):
    name = "conformance.languages.schedule"

    def handle(self):
        if self.request.payload.get("ask"):
            self.response.payload = {"told": self.cache.default.get(KEY)}
            return
        data = {"key": KEY, "value": "ran"}
        name = self.schedule.onetime(self, "conformance.languages.told", prefix="languages-", after_seconds=0.1, data=data)
        self.response.payload = {"has_prefix": name.startswith("languages-")}
