from zato.server.service import Service


class HasSchema(Service):
    name = "conformance.hooks.schema"
    schema = {
        "type": "object",
        "required": ["id", "lines"],
        "properties": {
            "id": {"type": "integer", "minimum": 1},
            "lines": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/line"}},
        },
        "additionalProperties": False,
        "$defs": {"line": {"type": "object", "required": ["sku"], "properties": {"sku": {"type": "string", "pattern": "^[A-Z]+$"}}}},
    }

    def handle(self):
        self.response.payload = {"lines": len(self.request.payload["lines"])}
