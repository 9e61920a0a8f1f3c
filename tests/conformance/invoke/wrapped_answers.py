from zato.server.service import Service


class Caller(Service):
    name = "conformance.invoke.wrapped_answers"

    def handle(self):
        self.response.payload = {
            "whole": self.invoke(Wrapped),
            "within": self.invoke(Wrapped, skip_response_elem=True),
            "plain": self.invoke(Plain, skip_response_elem=True),
            "ignored": self.invoke(Echo, "text", needs_details=True),
        }
        self.invoke_async(Wrapped, callback=Told)


class Wrapped(Service):
    name = "conformance.invoke.wrapped"

    class SimpleIO:
        output_required = "name"

    def handle(self):
        self.response.payload.name = "Anna"


class Plain(Service):
    name = "conformance.invoke.plain"
    output = "name"

    def handle(self):
        self.response.payload.name = "Anna"


class Echo(Service):
    name = "conformance.invoke.echo_of_a_text"

    def handle(self):
        self.log_input("got", level=30, suppress_keys=["request.payload"])
        self.response.payload = self.request.payload


class Told(Service):
    name = "conformance.invoke.told_of_wrapped"

    def handle(self):
        self.cache.default.set(self.name, self.request.payload)


class Look(Service):
    name = "conformance.invoke.look_at_wrapped"

    def handle(self):
        with self.lock(self.name, expires=5, timeout=5):
            self.response.payload = {"told": self.cache.default.get(Told.get_name())}
