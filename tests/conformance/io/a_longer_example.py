import json
from http.client import ACCEPTED, OK

from zato.common.exception import BadRequest, NotFound
from zato.server.service import AsIs, Bool, Int, Service

# What the accounts of this example are.
ACCOUNTS = {"7": {"id": 7, "owner": "Anna", "balance": "12.50", "is_open": True}}


class GetAccount(Service):
    """Gives an account."""

    name = "conformance.io.a_longer_example"

    class SimpleIO:
        input_required = (AsIs("account_id"),)
        input_optional = (Bool("with_history"), Int("limit"))
        output_required = ("account_id", "owner", Bool("is_open"))
        output_optional = ("balance", "history")

    def handle(self):
        given = self.request.input
        account = self._find(given.account_id)
        self.response.payload.account_id = account["id"]
        self.response.payload.owner = account["owner"]
        self.response.payload.is_open = account["is_open"]
        self.response.payload.balance = account["balance"]
        if given.with_history:
            answer = self.invoke("conformance.io.history", {"account_id": given.account_id, "limit": given.limit or 2})
            self.response.payload.history = answer["entries"]
        self.response.status_code = OK
        self.response.headers["X-Account"] = str(account["id"])

    def _find(self, account_id):
        if not str(account_id).isdigit():
            raise BadRequest(self.cid, "No account has such a number")
        account = ACCOUNTS.get(str(account_id))
        if not account:
            raise NotFound(self.cid, "No such account")
        return account


class History(Service):
    name = "conformance.io.history"
    input = "account_id", Int("-limit", default=10)

    def handle(self):
        entries = [{"number": number} for number in range(self.request.input.limit)]
        self.response.payload = {"entries": entries}


class CloseAccount(Service):
    name = "conformance.io.close"

    def handle(self):
        payload = json.loads(self.request.raw_request)
        self.logger.info("Closing %s, asked by %s", payload["account_id"], self.request.http.headers.get("user-agent"))
        self.response.status_code = ACCEPTED
        self.response.content_type = "application/json"
        self.response.payload = json.dumps({"closing": payload["account_id"]})
