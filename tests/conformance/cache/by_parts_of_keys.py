from zato.server.service import Service


class Cache(Service):
    name = "conformance.cache.by_parts_of_keys"

    def handle(self):
        cache = self.cache.get_cache("builtin", "conformance.parts")
        cache.clear()
        for number, key in enumerate(["user.anna", "user.beat", "order.anna", "order.7"]):
            cache[key] = number
        found = {
            "prefix": cache.get_by_prefix("user."),
            "suffix": cache.get_by_suffix("anna"),
            "regex": cache.get_by_regex("^order\\.[0-9]$"),
            "contains": cache.get_contains("bea"),
            "not contains": cache.get_not_contains("anna"),
            "all": cache.get_contains_all(["user", "anna"]),
            "any": sorted(cache.get_contains_any(["beat", "7"])),
            "limit": len(cache.get_by_prefix("user.", limit=1)),
            "set": [cache.set_by_prefix("user.", 9), cache["user.anna"], cache["user.beat"]],
            "expire": cache.expire_by_suffix("anna", 60),
            "found": cache.delete_by_suffix("beat", return_found=True),
            "deleted": [cache.delete_by_prefix("order."), cache.keys(), cache.values(), cache.items()],
        }
        self.response.payload = found
