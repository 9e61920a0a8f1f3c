from zato.server.service import Service

KEY = "conformance.background.fanout."


class Caller(Service):
    name = "conformance.background.fanout"

    def handle(self):
        if self.request.http.params.get("which") == "begin":
            targets = {"conformance.background.one": {"n": 1}, "conformance.background.fails": {}, "conformance.background.two": {"n": 2}}
            fanout = self.patterns.fanout.invoke(targets, on_final="conformance.background.final", on_target="conformance.background.target")
            targets = {"conformance.background.one": {"n": 3}}
            parallel = self.patterns.parallel.invoke(targets, on_target="conformance.background.target", cid="conformance-parallel")
            self.response.payload = {"fanout": bool(fanout), "parallel": parallel}
        else:
            cache = self.cache.default
            targets = cache.get_by_prefix(KEY + "target.").values()
            self.response.payload = {
                "final": cache[KEY + "final"],
                "targets": sorted([each["phase"], each["target"], each["ok"]] for each in targets),
            }


class One(Service):
    name = "conformance.background.one"

    def handle(self):
        self.response.payload = {"one": self.request.payload["n"]}


class Two(Service):
    name = "conformance.background.two"

    def handle(self):
        self.response.payload = {"two": self.request.payload["n"]}


class Fails(Service):
    name = "conformance.background.fails"

    def handle(self):
        raise ValueError("it fails")


class Target(Service):
    name = "conformance.background.target"

    def handle(self):
        self.cache.set(f"{KEY}target.{self.cache.incr(KEY + 'number')}", self.request.payload)


class Final(Service):
    name = "conformance.background.final"

    def handle(self):
        payload = self.request.payload
        self.cache.set(
            KEY + "final",
            {
                "phase": payload["phase"],
                "source": payload["source"],
                "has time": bool(payload["req_ts_utc"]),
                "data": [[each["service"], each["ok"], each["response"]] for each in payload["data"]],
            },
        )
