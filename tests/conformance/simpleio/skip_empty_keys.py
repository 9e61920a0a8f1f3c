from zato.server.service import Service


class SkipEmptyKeys(Service):
    name = "conformance.simpleio.skip_empty_keys"

    class SimpleIO:
        output_required = "a", "b"
        output_optional = "c", "d", "e"
        skip_empty_keys = True

    def handle(self):
        self.response.payload = {"a": 1, "b": "", "c": None, "d": "", "e": 0}
