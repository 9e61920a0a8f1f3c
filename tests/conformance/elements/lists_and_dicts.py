from zato.server.service import Dict, DictList, List, ListOfDicts, Service


class ListsAndDicts(Service):
    name = "conformance.elements.lists_and_dicts"
    input = List("a"), Dict("b"), DictList("c"), ListOfDicts("-d")

    def handle(self):
        self.response.payload = {key: [type(value).__name__, value] for key, value in self.request.input.items()}
