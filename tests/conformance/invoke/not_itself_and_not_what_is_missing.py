from tenon import InvocationFailed, ServiceMissing
from zato.server.service import Service


class Caller(Service):
    name = "conformance.invoke.not_itself_and_not_what_is_missing"

    def handle(self):
        try:
            self.invoke(self.name)
        except InvocationFailed as error:
            itself = str(error)
        try:
            self.invoke("conformance.invoke.nothing")
        except ServiceMissing as error:
            missing = error.code
        try:
            self.invoke("conformance.invoke.nothing")
        except KeyError as error:
            text = str(error)
        self.response.payload = {"itself": "itself" in itself, "missing": missing, "text": text}
