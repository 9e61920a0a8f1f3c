from typing import List

from zato.server.service import Model, Service, dataclass


@dataclass(init=False)
class User(Model):
    id: int
    name: str = "unknown"


class ListsOfModels(Service):
    name = "conformance.models.lists_of_models"
    input = List[User]
    output = List[User]

    def handle(self):
        self.response.payload = list(reversed(self.request.input))
