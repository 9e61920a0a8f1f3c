from zato.server.service import Service


class ChangesTheAnswer(Service):
    name = "conformance.hooks.after_handle_changes_the_answer"

    def handle(self):
        self.response.payload = {"a": 1}

    def after_handle(self):
        self.response.payload["took"] = self.processing_time >= 0
        self.response.payload["began"] = self.invocation_time <= self.handle_return_time
