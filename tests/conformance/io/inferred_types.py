from zato.server.service import Service


class InferredTypes(Service):
    name = "conformance.io.inferred_types"
    input = "is_a", "has_b", "needs_c", "should_d", "by_e", "may_f", "line_count", "read_timeout", "name"

    def handle(self):
        self.response.payload = {key: [type(value).__name__, value] for key, value in self.request.input.items()}
