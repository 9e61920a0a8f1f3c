from typing import List

from zato.server.service import Model, Service, dataclass


@dataclass(init=False)
class Node(Model):
    name: str
    children: "List[Node]"


class WithinItself(Service):
    name = "conformance.models.within_itself"
    input = Node

    def handle(self):
        def count(node):
            return 1 + sum(count(child) for child in node.children)

        self.response.payload = {"count": count(self.request.input)}
