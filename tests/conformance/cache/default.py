from zato.server.service import Service


class Cache(Service):
    name = "conformance.cache.default"

    def handle(self):
        cache = self.cache.default
        key = "conformance.cache.default"
        cache.delete(key)
        found = {
            "unknown": [cache.get(key), cache[key], cache.get(key, "else"), key in cache],
            "set": [cache.set(key, {"a": [1, None]}), cache.set(key, "text"), cache.get(key), cache[key]],
            "deleted": [cache.delete(key), cache.delete(key)],
            "expire": [cache.expire(key, 60)],
        }
        for value in ({"a": 1}, [1, 2], "text", 5, 1.5, True, None):
            cache[key] = value
            found.setdefault("kept", []).append(cache[key] == value)
        cache[key] = b"\xff\x00"
        found["bytes"] = cache[key] == b"\xff\x00"
        cache.set(key, 1, expiry=60)
        details = cache.get(key, details=True)
        found["details"] = [details.key == key, details.value, 0 < details.expires_in <= 60]
        found["expire"].append(cache.expire(key, 30))
        other = self.cache.get_cache("builtin", "conformance")
        other.clear()
        other[key] = "other"
        found["apart"] = [cache[key], other[key], other.keys(), len(other)]
        self.response.payload = found
