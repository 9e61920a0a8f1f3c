from zato.server.service import Service


class Calls(Service):
    name = "conformance.outgoing.rest"

    def handle(self):
        conn = self.out.rest["conformance.outgoing.self"].conn
        got = conn.get(self.cid, {"id": 7, "page": 2}, headers={"X-One": "1"})
        posted = conn.post(self.cid, {"a": 1}, {"id": 8})
        short = self.rest["conformance.outgoing.self"].put({"b": 2}, params={"id": 9})
        self.response.payload = {
            "get": got.data,
            "ok": got.ok,
            "status": got.status_code,
            "type": got.headers["Content-Type"],
            "post": posted.data,
            "put": short.data,
            "plain_http": self.out.plain_http["conformance.outgoing.self"].conn.get(self.cid, {"id": 1}).status_code,
        }


class Backend(Service):
    name = "conformance.outgoing.backend"

    def handle(self):
        http = self.request.http
        self.response.payload = {"method": http.method, "id": http.params.id, "query": http.GET, "one": http.headers.get("x-one"), "payload": self.request.payload}
