from zato.server.service import Service


class Docs(Service):
    name = "conformance.cache.as_in_the_docs"

    def handle(self):
        prefix = self.cid
        self.cache.set(f"{prefix}-token", "abc123", expiry=60)
        self.cache.set(f"{prefix}-user", {"name": "joe", "roles": ["admin"]}, expiry=300)
        self.cache.set(f"{prefix}-gone", True, expiry=300)
        self.cache.delete(f"{prefix}-gone")
        self.response.payload = {
            "token": self.cache.get(f"{prefix}-token"),
            "lives": 50 < self.cache.ttl(f"{prefix}-token") <= 60,
            "roles": self.cache.get(f"{prefix}-user")["roles"],
            "exists": [bool(self.cache.exists(f"{prefix}-user")), bool(self.cache.exists(f"{prefix}-gone"))],
            "missing": [self.cache.get(f"{prefix}-gone"), self.cache.get(f"{prefix}-gone", "instead")],
        }
