from json import dumps

from zato.common.api import DATA_FORMAT
from zato.server.service import Int, Service


class Caller(Service):
    name = "conformance.invoke.texts_of_json"

    def handle(self):
        text = dumps({"id": 7})
        self.response.payload = {
            "read": self.invoke(TakesInput, text, data_format=DATA_FORMAT.JSON),
            "bytes": self.invoke(TakesInput.get_name(), text.encode(), data_format="json"),
            "declared": self.invoke(TakesInput, text),
            "text": self.invoke("conformance.invoke.kind_of_payload", text),
            "no json": self.invoke("conformance.invoke.kind_of_payload", "plain", data_format="json"),
        }


class TakesInput(Service):
    name = "conformance.invoke.takes_input"
    input = Int("id")

    def handle(self):
        self.response.payload = {"next": self.request.input.id + 1}


class KindOfPayload(Service):
    name = "conformance.invoke.kind_of_payload"

    def handle(self):
        self.response.payload = type(self.request.payload).__name__
