from zato.server.service import Service

KEY = "conformance.background.invoke_async."


class Caller(Service):
    name = "conformance.background.invoke_async"

    def handle(self):
        which = self.request.http.params.get("which")
        if which == "begin":
            named = self.invoke_async("conformance.background.works", {"n": 1}, callback="conformance.background.told")
            self.cache.set(KEY + "cid", named)
            self.invoke_async(Works, {"n": 2}, callback=["conformance.background.told", Told])
            self.invoke_async("conformance.background.works", {"n": 3}, callback=self)
            self.invoke_async("conformance.background.works", {"n": 4})
            self.invoke_async("conformance.background.works", {"fail": True}, callback=Told)
            own = self.invoke_async("conformance.background.works", {"n": 6}, cid="conformance-cid", callback=Told)
            self.response.payload = {"cid": bool(named), "own": own}
        elif self.channel.type == "invoke-async-callback":
            self.cache.set(KEY + "self", self.request.payload)
        else:
            cache = self.cache.default
            told = sorted(cache.get_by_prefix(KEY + "told.").values(), key=str)
            cids = [each["in_reply_to"] for each in told if each["payload"] == {"doubled": 2}]
            self.response.payload = {
                "payloads": [each["payload"] for each in told if each["is_ok"]],
                "failed": [each["payload"]["is_ok"] for each in told if not each["is_ok"]],
                "same cid": cids == [cache[KEY + "cid"]],
                "own cid": [each["payload"] for each in told if each["in_reply_to"] == "conformance-cid"],
                "self": cache[KEY + "self"],
                "sink": cache[KEY + "sink"],
            }


class Works(Service):
    name = "conformance.background.works"

    def handle(self):
        if self.request.payload.get("fail"):
            raise ValueError("it fails")
        self.response.payload = {"doubled": self.request.payload["n"] * 2}


class Told(Service):
    name = "conformance.background.told"

    def handle(self):
        number = self.cache.incr(KEY + "number")
        told = {"payload": self.request.payload, "in_reply_to": self.in_reply_to, "is_ok": self.request.outcome.is_ok}
        self.cache.set(f"{KEY}told.{number}", told)


class Sink(Service):
    name = "conformance.background.invoke_async-async-callback"

    def handle(self):
        self.cache.set(KEY + "sink", self.request.payload)
