from zato.server.service import Int, Service


class Caller(Service):
    name = "conformance.invoke.by_name_class_and_arguments"

    def handle(self):
        name = "conformance.invoke.adds"
        self.response.payload = {
            "by name": self.invoke(name, {"a": 1, "b": 2}),
            "by class": self.invoke(Adds, {"a": 1, "b": 2}),
            "arguments": self.invoke(name, a=3, b=4),
            "both": self.invoke(name, {"a": 5}, b=6),
            "bunch": self.invoke(name, {"a": 1, "b": 1}, as_bunch=True).sum,
            "serialized": self.invoke(name, {"a": 1, "b": 1}, serialize=True),
            "by impl name": self.invoke_by_impl_name(Adds.impl_name, a=1, b=1),
            "server": self.server.invoke(name, {"a": 2, "b": 2}),
        }


class Adds(Service):
    name = "conformance.invoke.adds"
    input = Int("a"), Int("b")

    def handle(self):
        self.response.payload = {"sum": self.request.input.a + self.request.input.b}
