from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Literal, Optional, Union
from uuid import UUID

from zato.server.service import Model, Service


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(init=False)
class Typed(Model):
    amount: Decimal
    day: date
    moment: datetime
    id: UUID
    colour: Colour
    size: Literal["s", "m"]
    either: Union[int, str]
    rate: Optional[float] = None


class Types(Service):
    name = "conformance.models.types"
    input = Typed

    def handle(self):
        given = self.request.input
        types = {name: type(getattr(given, name)).__name__ for name in ("amount", "day", "moment", "id", "colour", "either")}
        self.response.payload = {"types": types, "values": given}
