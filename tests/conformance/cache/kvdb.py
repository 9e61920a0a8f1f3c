from zato.server.service import Service


class OldNames(Service):
    name = "conformance.cache.kvdb"

    def handle(self):
        self.kvdb.conn.set("conformance.kvdb", "value", ex=60)
        self.response.payload = {"kvdb": self.kvdb.conn.get("conformance.kvdb"), "redis": self.redis.get("conformance.kvdb")}
