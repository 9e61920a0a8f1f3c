from zato.server.service import Service


class Schedules(Service):
    name = "conformance.hooks.of_jobs"

    def handle(self):
        if self.request.input.get("look"):
            self.response.payload = {"seen": self.cache.default.get("conformance.schedule.ran")}
        else:
            job = self.schedule.onetime(self, "conformance.schedule.later", name="conformance.schedule.job", after_seconds=0.1, data={"order": 7})
            self.response.payload = {"job": bool(job)}


class Later(Service):
    name = "conformance.schedule.later"

    def before_job(self):
        self.environ["hook"] = "before_job"

    def handle(self):
        self.cache.default.set("conformance.schedule.ran", {"payload": self.request.payload, "type": self.channel.type, "hook": self.environ.get("hook")})
