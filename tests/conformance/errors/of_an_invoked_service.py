from zato.common.exception import BadRequest, NotFound
from zato.server.service import Service


class Caller(Service):
    name = "conformance.errors.of_an_invoked_service"

    def handle(self):
        if self.request.input.get("pass") == "input":
            self.invoke("conformance.errors.fails", {})
        if self.request.input.get("pass"):
            self.invoke("conformance.errors.fails", {"which": "not-found"})
        try:
            self.invoke("conformance.errors.fails", {"which": "not-found"})
        except NotFound as error:
            first = error.msg
        try:
            self.invoke("conformance.errors.fails", {})
        except BadRequest as error:
            second = error.path
        try:
            self.invoke("conformance.errors.fails", {"which": "other"})
        except Exception as error:
            third = type(error).__name__
        self.response.payload = {"first": first, "second": second, "third": third}


class Fails(Service):
    name = "conformance.errors.fails"
    input = "which"

    def handle(self):
        if self.request.input.which == "not-found":
            raise NotFound(self.cid, "No such user")
        raise ValueError("x")
