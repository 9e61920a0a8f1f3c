from zato.server.service import Service

KEY = "conformance.locks.one_at_a_time"


class Caller(Service):
    name = "conformance.locks.one_at_a_time"

    def handle(self):
        if self.request.http.params.get("which") == "begin":
            self.cache.set(KEY, {"count": 0, "inside": 0, "most": 0, "last": 0, "grows": True})
            for _ in range(6):
                self.invoke_async("conformance.locks.counts", {})
        self.response.payload = self.cache.get(KEY)


class Counts(Service):
    name = "conformance.locks.counts"

    def handle(self):
        with self.lock(KEY, ttl=20, block=20) as lock:
            state = self.cache.get(KEY)
            state["inside"] += 1
            state["most"] = max(state["most"], state["inside"])
            state["grows"] = state["grows"] and lock.token > state["last"]
            state["last"] = lock.token
            self.cache.set(KEY, state)
            self.sleep(0.02)
            state["inside"] -= 1
            state["count"] += 1
            self.cache.set(KEY, state)
