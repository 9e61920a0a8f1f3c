from zato.common.exception import BadRequest, HTTPException, NotFound, Reportable, ZatoException
from zato.server.service import Service


class CaughtAsTheirBases(Service):
    name = "conformance.errors.caught_as_their_bases"

    def handle(self):
        caught = []
        for base in (HTTPException, Reportable, ZatoException, Exception):
            try:
                raise NotFound(self.cid, "gone")
            except base as error:
                caught.append([type(error).__name__, error.status, error.msg, error.cid == self.cid])
        try:
            raise ZatoException(self.cid, "mine")
        except BadRequest:
            caught.append("wrong")
        except ZatoException as error:
            caught.append(error.msg)
        self.response.payload = caught
