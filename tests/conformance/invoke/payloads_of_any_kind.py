from zato.server.service import Service


class Caller(Service):
    name = "conformance.invoke.payloads_of_any_kind"

    def handle(self):
        payloads = [{"a": [1, None]}, [1, "2"], "text", '{"a": 1}', 5, 1.5, True, "grüezi"]
        self.response.payload = {
            "echoed": [self.invoke("conformance.invoke.echoes", payload) == payload for payload in payloads],
            "bytes": self.invoke("conformance.invoke.echoes", b"\xff\x00") == b"\xff\x00",
            "nothing": self.invoke("conformance.invoke.echoes"),
        }


class Echoes(Service):
    name = "conformance.invoke.echoes"

    def handle(self):
        self.response.payload = self.request.payload
