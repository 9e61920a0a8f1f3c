from zato.server.service import Service


class Caller(Service):
    name = "conformance.servers.rpc"

    def handle(self):
        rpc = self.server.rpc
        everywhere = rpc.invoke_all("conformance.servers.says_where", {"n": 1})
        fails = rpc.invoke_all("conformance.servers.fails")
        self.response.payload = {
            "one": rpc["server1"].invoke("conformance.servers.says_where", {"n": 1}),
            "two": self.invoke("conformance.servers.says_where@server2", {"n": 2}),
            "all": [everywhere.is_ok, [each.data for each in everywhere.data]],
            "failed": [fails.is_ok, [each.is_ok for each in fails.data]],
        }


class SaysWhere(Service):
    name = "conformance.servers.says_where"

    def handle(self):
        self.response.payload = {"server": self.server.name, "n": self.request.payload["n"]}


class Fails(Service):
    name = "conformance.servers.fails"

    def handle(self):
        raise ValueError("it fails")
