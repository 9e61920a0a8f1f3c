from zato.server.service import Service


class AroundHandle(Service):
    name = "conformance.hooks.around_handle"

    def before_handle(self):
        self.seen = ["before_handle"]
        raise ValueError("logged only")

    def validate_input(self):
        self.seen.append("validate_input")

    def handle(self):
        self.seen.append("handle")
        self.response.payload = {"seen": self.seen}

    def after_handle(self):
        self.seen.append("after_handle")
        raise ValueError("logged only")

    def validate_output(self):
        self.seen.append("validate_output")

    def finalize_handle(self):
        self.seen.append("finalize_handle")
