from zato.server.service import Model, Service, dataclass


@dataclass(init=False)
class Answer(Model):
    id: int
    name: str


class Attributes(Service):
    name = "conformance.models.as_attributes_of_the_answer"
    output = Answer

    def handle(self):
        self.response.payload.id = 7
        self.response.payload.name = "Anna"
