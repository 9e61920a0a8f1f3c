from zato.server.service import Service


class WithoutCallback(Service):
    name = "conformance.invoke.async_without_callback"

    def handle(self):
        if self.request.input.get("look"):
            self.response.payload = {"seen": self.cache.default.get("conformance.invoke.sink")}
        else:
            self.invoke_async("conformance.invoke.sink_target", "text")


class Target(Service):
    name = "conformance.invoke.sink_target"

    def handle(self):
        self.response.payload = {"got": self.request.payload}


class Sink(Service):
    name = "conformance.invoke.async_without_callback-async-callback"

    def handle(self):
        self.cache.default.set("conformance.invoke.sink", self.request.payload)
