from typing import ClassVar

from zato.server.service import Model, Service, dataclass


@dataclass(init=False)
class Base(Model):
    LIMIT: ClassVar[int] = 10
    id: int
    name: str = "base"


@dataclass(init=False)
class Extended(Base):
    size: int


class Inheritance(Service):
    name = "conformance.models.inheritance"
    input = Extended

    def handle(self):
        assert self.request.input.size < self.request.input.LIMIT
        self.response.payload = self.request.input
