from zato.server.service import Service


class ByImplName(Service):
    name = "conformance.invoke.by_impl_name"

    def handle(self):
        self.response.payload = {"got": self.invoke_by_impl_name("conformance_invoke_by_impl_name.Target", {"a": 1})}


class Target(Service):
    name = "conformance.invoke.impl_target"

    def handle(self):
        self.response.payload = self.request.payload
