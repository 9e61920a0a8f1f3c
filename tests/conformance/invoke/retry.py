from zato.server.service import Service


class Caller(Service):
    name = "conformance.invoke.retry"

    def handle(self):
        key = "conformance.invoke.retry"
        self.cache.delete(key)
        answer = self.patterns.invoke_retry.invoke("conformance.invoke.fails_twice", {"key": key}, repeats=3, seconds=0.05)
        try:
            self.patterns.invoke_retry.invoke("conformance.invoke.always_fails", repeats=1, seconds=0.05)
        except Exception as error:
            failed = type(error).__name__
        self.response.payload = {"answer": answer, "failed": failed}


class FailsTwice(Service):
    name = "conformance.invoke.fails_twice"

    def handle(self):
        attempt = self.cache.incr(self.request.payload["key"])
        if attempt < 3:
            raise ValueError(attempt)
        self.response.payload = {"attempt": attempt}


class AlwaysFails(Service):
    name = "conformance.invoke.always_fails"

    def handle(self):
        raise ValueError("always")
