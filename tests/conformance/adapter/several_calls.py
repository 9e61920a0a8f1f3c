from zato.server.service import Model, RESTAdapter, Service, dataclass


@dataclass(init=False)
class Item(Model):
    id: int
    name: str


class SeveralCalls(RESTAdapter):
    name = "conformance.adapter.several_calls"

    def handle(self):
        connection = "conformance.adapter.several_calls"
        first = self.rest_call(connection, params={"id": 1}, model=Item)
        names = self.rest_call(connection, data={"id": 2}, headers={"X-Prefix": "to"}, callback=lambda data: data["name"].upper())
        self.response.payload = {"first": [type(first).__name__, first.name], "names": names}


class Items(Service):
    name = "conformance.adapter.items"
    input = "id"

    def handle(self):
        prefix = self.request.http.headers.get("x-prefix", "")
        self.response.payload = {"id": int(self.request.input.id), "name": f"{prefix} {self.request.http.method.lower()} {self.request.input.id}"}
