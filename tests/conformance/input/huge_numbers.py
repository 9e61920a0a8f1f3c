from zato.server.service import Float, Int, Service


class HugeNumbers(Service):
    name = "conformance.input.huge_numbers"
    input = Int("-whole"), Float("-part"), "-any"

    def handle(self):
        self.response.payload = {"whole": str(self.request.input.whole), "part": self.request.input.part, "any": self.request.input.any}
