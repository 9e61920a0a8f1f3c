from zato.server.service import Service


class RunsCommands(Service):
    name = "conformance.commands.invoke"

    def handle(self):
        good = self.commands.invoke("echo hello")
        bad = self.commands.invoke("exit 3")
        fed = self.commands.invoke("cat", stdin="fed")
        late = self.commands.invoke("sleep 20", timeout=0.1)
        self.response.payload = {
            "stdout": good.stdout.strip(),
            "ok": good.is_ok,
            "exit_code": bad.exit_code,
            "bad": bad.is_ok,
            "fed": fed.stdout,
            "late": [late.is_timeout, late.is_ok],
        }
