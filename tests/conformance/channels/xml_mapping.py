from zato.server.service import Service


class XmlMapping(Service):
    name = "conformance.channels.xml_mapping"

    def handle(self):
        order = self.request.payload["order"]
        raw = self.request.raw_request
        self.response.payload = {"seen": {"@id": order["@id"], "line": order["line"], "length": len(raw), "bytes": isinstance(raw, bytes)}}
