from zato.server.service import Service

RATE = 3


def double(value):
    return value * 2


class Base(Service):
    def answer(self):
        return double(RATE)


class One(Base):
    name = "conformance.service.several_in_a_file"

    def handle(self):
        self.response.payload = {"answer": self.answer(), "other": self.invoke("conformance.service.second")}


class Two(Base):
    name = "conformance.service.second"

    def handle(self):
        self.response.payload = self.answer() + 1
