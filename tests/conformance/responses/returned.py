from zato.server.service import Service


class Returned(Service):
    name = "conformance.responses.returned"

    def handle(self):
        return {"returned": True}
