import time

from zato.server.service import Service


class Cache(Service):
    name = "conformance.languages.cache"

    def handle(self):
        cache = self.cache.get_cache("builtin", "languages")
        cache.clear()
        before = cache.get("a")
        cache.set("a", {"b": [1, "Zürich"]})
        cache.set("short", 1, expiry=0.001)
        time.sleep(0.05)
        self.response.payload = {
            "before": before,
            "value": cache.get("a"),
            "short": cache.contains_key("short"),
            "after": cache.contains_key("b"),
        }
