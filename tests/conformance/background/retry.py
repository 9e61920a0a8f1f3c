from zato.server.service import Service

KEY = "conformance.background.retry."


class Caller(Service):
    name = "conformance.background.retry"

    def handle(self):
        if self.request.http.params.get("which") == "begin":
            retry = self.patterns.invoke_retry
            told = "conformance.background.retry_told"
            retry.invoke_async("conformance.background.third_time", {"key": "a"}, repeats=3, seconds=0.1, callback=told, context={"for": "a"})
            retry.invoke_async("conformance.background.third_time", {"key": "b"}, repeats=1, seconds=0.1, callback=told, context={"for": "b"})
            background = {"async_fallback": True, "callback": told, "context": {"for": "c"}}
            fallback = retry.invoke("conformance.background.third_time", {"key": "c"}, repeats=1, seconds=0.1, **background)
            self.response.payload = {"cid": isinstance(fallback, str)}
        else:
            self.response.payload = {which: self.cache.get(KEY + which) for which in "abc"}


class ThirdTime(Service):
    name = "conformance.background.third_time"

    def handle(self):
        attempt = self.cache.incr(KEY + "attempts." + self.request.payload["key"])
        if attempt < 3:
            raise ValueError(attempt)
        self.response.payload = {"attempt": attempt}


class Told(Service):
    name = "conformance.background.retry_told"

    def handle(self):
        payload = self.request.payload
        told = {"ok": payload["ok"], "response": payload["response"], "target": payload["target"], "source": payload["source"]}
        self.cache.set(KEY + payload["context"]["for"], told)
