from zato.server.service import Model, RESTAdapter, Service, dataclass


@dataclass(init=False)
class Created(Model):
    id: int
    name: str


class CreateUser(RESTAdapter):
    name = "conformance.adapter.post"
    conn_name = "conformance.adapter.post"
    method = "POST"
    model = Created
    input = "name"

    def get_request(self):
        return {"name": self.request.input.name}

    def map_response(self, data, **kwargs):
        return {"type": type(data).__name__, "id": data.id, "name": data.name}


class Backend(Service):
    name = "conformance.adapter.creating"

    def handle(self):
        self.response.payload = {"id": 5, "name": self.request.payload["name"].upper()}
