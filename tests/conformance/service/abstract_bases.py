from abc import ABC, abstractmethod

from zato.server.service import Service


class Handles(Service, ABC):
    prefix = "none"

    @abstractmethod
    def answer(self):
        pass

    def handle(self):
        self.response.payload = {"answer": f"{self.prefix}-{self.answer()}"}


class Mixin:
    prefix = "mixed"


class AbstractBases(Mixin, Handles):
    name = "conformance.service.abstract_bases"

    def answer(self):
        try:
            return self.invoke("conformance-service-abstract-bases.handles")
        except Exception as error:
            return type(error).__name__
