from zato.server.service import Service


class Locks(Service):
    name = "conformance.languages.locks"

    def handle(self):
        held = self.lock("languages")
        held.acquire()
        other = self.lock("languages", block=0.05).acquire()
        token = held.token
        held.release()
        with self.lock("languages") as again:
            self.response.payload = {"other": other, "grows": again.token > token}
