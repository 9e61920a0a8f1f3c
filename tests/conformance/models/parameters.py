from zato.server.service import Model, Service, dataclass


@dataclass(init=False)
class Query(Model):
    id: int
    page: int = 1


class Parameters(Service):
    name = "conformance.models.parameters"
    input = Query

    def handle(self):
        self.response.payload = self.request.input
