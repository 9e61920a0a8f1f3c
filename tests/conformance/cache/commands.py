from zato.server.service import Service


class Cache(Service):
    name = "conformance.cache.commands"

    def handle(self):
        cache = self.cache
        a, b = "conformance.commands.a", "conformance.commands.b"
        cache.delete(a, b)
        self.response.payload = {
            "set": [cache.set(a, "1", ex=60), cache.set(a, "2", nx=True), cache.get(a), cache.setnx(b, 5), cache.setnx(b, 6)],
            "ttl": [50 < cache.ttl(a) <= 60, cache.ttl(b), cache.ttl("conformance.commands.none")],
            "numbers": [cache.incr(b), cache.incr(b, 4), cache.decr(b, 2)],
            "keys": cache.keys("conformance.commands.?"),
            "exists": cache.exists(a, b, "conformance.commands.none"),
            "expire": [cache.expire(b, 60), cache.expire("conformance.commands.none", 60)],
            "delete": [cache.delete(a, b, "conformance.commands.none"), cache.get(a)],
        }
