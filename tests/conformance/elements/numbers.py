from zato.server.service import Decimal, Float, Int, Integer, Service


class Numbers(Service):
    name = "conformance.elements.numbers"
    input = Int("a"), Integer("-b"), Float("-c"), Decimal("-d")

    def handle(self):
        self.response.payload = {key: f"{type(value).__name__} {value}" for key, value in self.request.input.items()}
