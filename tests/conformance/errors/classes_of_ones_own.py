from zato.common.exception import ConnectionException, HTTPException, Inactive, Reportable, TimeoutException, ZatoException
from zato.server.connection.http_soap import BadRequest
from zato.server.service import Service


class PaymentRequired(Reportable):
    def __init__(self, cid, msg):
        super().__init__(cid, msg, 402)


class OrderError(ZatoException):
    def __init__(self, cid, order):
        super().__init__(cid, f"Order {order} is wrong")
        self.order = order


class ClassesOfOnesOwn(Service):
    name = "conformance.errors.classes_of_ones_own"
    input = "which"

    def handle(self):
        which = self.request.input.which
        if which == "own":
            raise PaymentRequired(self.cid, "Pay first")
        if which == "status":
            raise HTTPException(self.cid, "Gone for good", 410)
        if which == "old import":
            raise BadRequest(self.cid, "Wrong")
        if which == "timeout":
            raise TimeoutException(self.cid, "Too slow")

        caught = []
        for raised in (OrderError(self.cid, 7), Inactive("CRM"), ConnectionException(self.cid, "refused"), TimeoutException(self.cid, "late")):
            try:
                raise raised
            except Inactive as error:
                caught.append(["inactive", error.msg])
            except TimeoutException as error:
                caught.append(["timeout", error.msg])
            except ConnectionException as error:
                caught.append(["connection", error.msg])
            except OrderError as error:
                caught.append([error.order, error.msg, error.cid == self.cid])
        self.response.payload = {"caught": caught}
