import json

from zato.server.service import Model, Service, dataclass


@dataclass(init=False)
class Address(Model):
    city: str


@dataclass(init=False)
class User(Model):
    name: str
    address: Address


class Methods(Service):
    name = "conformance.models.methods"

    def handle(self):
        user = User.from_dict({"name": "Anna", "address": {"city": "Bern"}})
        copy = user.clone()
        copy.address.city = "Basel"
        flat = User.build_model_from_flat_input({"name": "Carl", "city": "Chur"})
        self.response.payload = {
            "dict": user.to_dict(),
            "json": json.loads(user.to_json()),
            "copy": copy.to_dict(),
            "flat": flat.to_dict(),
            "is_model": isinstance(user.address, Address),
        }
