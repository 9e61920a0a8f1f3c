from zato.server.service import Service

KEY = "languages-invoke-async"


class InvokeAsync(Service):
    name = "conformance.languages.invoke_async"

    def handle(self):
        given = self.request.payload
        if given.get("ask"):
            self.response.payload = {"told": self.cache.default.get(KEY)}
            return
        cid = self.invoke_async("conformance.languages.told", {"key": KEY, "value": given["value"]})
        self.response.payload = {"has_cid": bool(cid)}


class Told(Service):
    name = "conformance.languages.told"

    def handle(self):
        given = self.request.payload
        key, value = given.get("key"), given.get("value")
        if isinstance(given.get("data"), list):
            key, value = "languages-fan-out", sorted(one["data"] for one in given["data"])
        self.cache.default.set(key, value)
        self.response.payload = value
