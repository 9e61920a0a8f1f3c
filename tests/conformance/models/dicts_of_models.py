from zato.common.typing_ import dict_, strintdict
from zato.server.service import Model, Service, dataclass


@dataclass(init=False)
class Rate(Model):
    value: float


@dataclass(init=False)
class Rates(Model):
    rates: dict_[str, Rate]
    counts: strintdict


class DictsOfModels(Service):
    name = "conformance.models.dicts_of_models"
    input = Rates

    def handle(self):
        given = self.request.input
        self.response.payload = {"sum": sum(each.value for each in given.rates.values()), "counts": given.counts}
