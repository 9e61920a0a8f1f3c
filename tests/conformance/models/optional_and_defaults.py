from dataclasses import field
from typing import Optional

from zato.common.typing_ import anydict, anylist, dict_field, list_field, optional, strlist, strnone
from zato.server.service import Model, Service, dataclass


@dataclass(init=False)
class Settings(Model):
    name: str
    note: strnone = None
    city: Optional[str]
    size: optional[int] = 7
    is_new: bool = True
    tags: strlist = list_field()
    more: anydict = dict_field()
    items: anylist = field(default_factory=lambda: [1, 2])


class OptionalAndDefaults(Service):
    name = "conformance.models.optional_and_defaults"
    input = Settings

    def handle(self):
        self.response.payload = self.request.input
