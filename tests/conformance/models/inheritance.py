from zato.server.service import Model, Service, dataclass


@dataclass(init=False)
class Base(Model):
    id: int
    name: str = "base"


@dataclass(init=False)
class Extended(Base):
    size: int


class Inheritance(Service):
    name = "conformance.models.inheritance"
    input = Extended

    def handle(self):
        self.response.payload = self.request.input
