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
        self.response.payload = {"first": [type(first).__name__, first.name, first["name"], first["gone"], "name" in first], "names": names, "response": self.invoke(WithResponse)}


class WithResponse(RESTAdapter):
    name = "conformance.adapter.with_response"
    needs_raw_response = True

    def handle(self):
        found = self.rest_call("conformance.adapter.several_calls", params={"id": 3}, model=Item)
        self.response.payload = [found.data.name, found.raw_response.status_code, found.raw_response.headers["x-items"]]


class Items(Service):
    name = "conformance.adapter.items"
    input = "id"

    def handle(self):
        self.response.headers["X-Items"] = "1"
        prefix = self.request.http.headers.get("x-prefix", "")
        self.response.payload = {"id": int(self.request.input.id), "name": f"{prefix} {self.request.http.method.lower()} {self.request.input.id}"}
