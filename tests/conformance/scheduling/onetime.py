from datetime import datetime, timedelta, timezone

from zato.server.service import Service

KEY = "conformance.scheduling.onetime."


class Caller(Service):
    name = "conformance.scheduling.onetime"

    def handle(self):
        if self.request.http.params.get("which") == "begin":
            soon = datetime.now(timezone.utc) + timedelta(seconds=1)
            one = self.schedule.onetime(self, "conformance.scheduling.runs", name="conformance.named", after_seconds=1, data={"n": 1})
            two = self.schedule.onetime(self, Runs, prefix="conformance.prefix", start_date=soon, data={"n": 2})
            three = self.schedule.onetime("conformance.scheduling.runs", start_date="2020-01-01T00:00:00", data={"n": 3})
            self.response.payload = {
                "one": one,
                "two": two.startswith("conformance.prefix"),
                "three": three.startswith("conformance.scheduling.runs"),
            }
        else:
            self.response.payload = {str(n): self.cache.get(f"{KEY}{n}") for n in (1, 2, 3)}


class Runs(Service):
    name = "conformance.scheduling.runs"

    def handle(self):
        n = self.request.payload["n"]
        self.cache.set(f"{KEY}{n}", {"times": self.cache.incr(f"{KEY}times.{n}"), "channel": self.channel.type})
