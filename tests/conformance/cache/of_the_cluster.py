from zato.server.service import Service


class Cache(Service):
    name = "conformance.cache.of_the_cluster"

    def handle(self):
        # The load balancer asks one server after the other, so both have to have counted.
        seen = self.cache.get("conformance.cluster.servers") or {}
        seen[self.server.name] = self.cache.incr("conformance.cluster")
        self.cache.set("conformance.cluster.servers", seen)
        self.response.payload = {"servers": sorted(seen)}
