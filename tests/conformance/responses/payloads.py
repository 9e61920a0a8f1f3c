from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from zato.server.service import Model, Service, dataclass


@dataclass(init=False)
class User(Model):
    name: str


def user():
    made = User()
    made.name = "Anna"
    return made


class Payloads(Service):
    name = "conformance.responses.payloads"

    def handle(self):
        self.response.payload = {
            "dict": {"a": {"b": [1, None, True]}},
            "list": [1, "a"],
            "empty-dict": {},
            "empty-list": [],
            "zero": 0,
            "false": False,
            "none": None,
            "text": "plain",
            "json-text": '{"a": 1}',
            "decimal": {"whole": Decimal("12"), "part": Decimal("12.5")},
            "date": date(2026, 5, 1),
            "datetime": {"at": datetime(2026, 5, 1, 10, 20, 30)},
            "uuid": [UUID("a81bc81b-dead-4e5d-abff-90865d1e13b1")],
            "model": user(),
            "models": [user(), user()],
            "tuple": ("a", 1),
            "set": {"only"},
            "accents": {"ä": "é€𝄞"},
        }[self.request.input.which]
