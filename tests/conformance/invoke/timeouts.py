from tenon import HostTimeout
from zato.server.service import Service


class Caller(Service):
    name = "conformance.invoke.timeouts"

    def handle(self):
        if self.request.input.get("raise"):
            self.invoke("conformance.invoke.sleeps", timeout=0.2)
        try:
            self.invoke("conformance.invoke.sleeps", timeout=0.2)
        except HostTimeout:
            raised = True
        quiet = self.invoke("conformance.invoke.sleeps", timeout=0.2, raise_timeout=False)
        self.response.payload = {"raised": raised, "quiet": quiet}


class Sleeps(Service):
    name = "conformance.invoke.sleeps"

    def handle(self):
        self.sleep(1.5)
