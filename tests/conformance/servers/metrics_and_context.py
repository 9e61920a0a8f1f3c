from zato.server.service import Service


class Metrics(Service):
    name = "conformance.servers.metrics_and_context"

    def handle(self):
        self.metrics.incr("conformance_counted", 2, kind="a")
        self.metrics.push("conformance_level", 5)
        with self.metrics.timer("conformance_seconds") as timer:
            pass
        self.metrics.timer_start("conformance_step_seconds")
        took = self.metrics.timer_stop("conformance_step_seconds")
        self.server.user_ctx["conformance"] = 1
        self.response.payload = {
            "timer": timer.seconds >= 0,
            "took": took >= 0,
            "context": self.server.user_ctx["conformance"],
            "name": self.server.name[:6],
        }
