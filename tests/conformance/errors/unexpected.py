from zato.server.service import Service


class Unexpected(Service):
    name = "conformance.errors.unexpected"

    def handle(self):
        raise ValueError("the inside: hunter2")
