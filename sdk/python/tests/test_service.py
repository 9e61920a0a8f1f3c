"""The API of services, as callers see it."""

import unittest
from typing import Any, Dict

from harness import Worker, http

from tenon import protocol
from tenon.protocol import Frame

SERVICES = '''
from dataclasses import field
from decimal import Decimal as Exact
from datetime import date
from zato.common.exception import BadRequest, Conflict, Forbidden, HTTPException, NotFound, TooManyRequests, Unauthorized
from zato.common.typing_ import anylist, list_, list_field, optional, strnone
from zato.server.service import AsIs, Bool, Date, Float, Int, List, Model, Nested, Service, dataclass

class Echo(Service):
    """Answers with what came.

    Whatever it is.
    """
    name = "echo"

    def handle(self):
        self.response.payload = self.request.payload

class Raw(Service):
    name = "raw"

    def handle(self):
        self.response.payload = {"raw": repr(self.request.raw_request), "payload": repr(self.request.payload), "input": repr(self.request.input)}

class Kinds(Service):
    name = "kinds"

    def handle(self):
        which = self.request.payload
        self.response.payload = {
            "none": None, "text": "text", "json-text": '{"a": 1}', "bytes": b"\\x00\\xff", "list": [1, 2], "dict": {"a": {"b": None}}, "empty-dict": {},
            "zero": 0, "false": False, "empty-list": [], "exact": {"whole": Exact("12"), "part": Exact("12.5")}, "date": {"day": date(2026, 5, 1)},
            "model": make_user(), "models": [make_user()], "tuple": (1, 2), "unserialisable": {"a": object()}, "nan": float("nan"), "accent": {"ä": "é"},
        }[which]

class Returns(Service):
    name = "returns"

    def handle(self):
        return {"returned": True}

class Response(Service):
    name = "response"

    def handle(self):
        self.response.status_code = 201
        self.response.content_type = "text/csv"
        self.response.headers["X-Rows"] = 2
        self.response.headers["Set-Cookie"] = ["a=1", "b=2"]
        self.response.payload = "a,b\\n"

class Verbs(Service):
    name = "verbs"

    def handle_GET(self):
        self.response.payload = {"verb": "GET", "id": self.request.http.params.id}

    def handle_POST(self):
        self.response.payload = {"verb": "POST"}

class OnlyPost(Service):
    name = "only-post"

    def handle_POST(self):
        self.response.payload = {"verb": "POST"}

class Facts(Service):
    name = "facts"

    def handle(self):
        h = self.request.http
        self.response.payload = {
            "method": h.method, "path": h.path, "GET": h.GET, "query": h.query, "POST": h.POST, "params": h.params, "agent": h.user_agent,
            "header": h.headers["X-One"], "missing": h.headers.get("x-two"), "cid": self.cid, "name": self.name, "impl": self.impl_name,
            "channel": self.channel.name, "environ": self.wsgi_environ["HTTP_X_ONE"], "year": len(self.time.today("YYYY")),
        }

class Declared(Service):
    name = "declared"
    input = "name", "-nick", "is_active", "-has_pet", "line_count", Float("-price"), AsIs("-extra"), Date("-since"), Int("-limit", default=5)
    output = "name", "nick", "is_active", "line_count", "-price", "-extra", "-since", "-limit"

    def handle(self):
        self.response.payload = self.request.input

class Outputs(Service):
    name = "outputs"
    output = "a", "-b", Int("-c"), "-d"

    def handle(self):
        self.response.payload.a = 12.5
        self.response.payload.c = "7"
        self.response.payload.d = None
        self.response.payload.undeclared = 1

class Forgot(Service):
    name = "forgot"
    output = "a"

    def handle(self):
        self.response.payload = {"b": 1}

class NestedElems(Service):
    name = "nested"
    input = Nested("customer", "name", Int("-age"))

    def handle(self):
        self.response.payload.age.is_known = self.request.input.customer.age != ""

class Old(Service):
    name = "old"

    class SimpleIO:
        input_required = "a",
        input_optional = "b",
        output_required = "a", "b"

    def handle(self):
        self.response.payload.a = self.request.input.a
        self.response.payload.b = self.request.input.b

@dataclass(init=False)
class Line(Model):
    sku: str
    qty: int

@dataclass(init=False)
class Order(Model):
    id: int
    lines: list_[Line]
    note: strnone = None
    tags: anylist = list_field()
    rate: optional[float]

@dataclass(init=False)
class User(Model):
    name: str
    age: int = 5

def make_user():
    user = User()
    user.name = "Anna"
    user.age = 40
    return user

class TakesOrder(Service):
    name = "takes-order"
    input = Order
    output = User

    def handle(self):
        order = self.request.input
        user = make_user()
        user.name = f"{order.lines[0].sku}:{order.lines[-1].qty}:{order.note}:{order.tags}:{order.rate}"
        self.response.payload = user

class Raises(Service):
    name = "raises"

    def handle(self):
        which = self.request.payload
        if which == "bad-request":
            raise BadRequest(self.cid, "Wrong")
        if which == "one-argument":
            raise NotFound("No such user")
        if which == "only-cid":
            raise Forbidden(self.cid)
        if which == "conflict":
            raise Conflict(self.cid, "Exists")
        if which == "too-many":
            raise TooManyRequests(self.cid, "Slower")
        if which == "unauthorized":
            raise Unauthorized(self.cid, "Who?", "Basic realm=x")
        if which == "teapot":
            raise HTTPException(self.cid, "Tea", 418)
        if which == "exit":
            import sys
            sys.exit(3)
        if which == "status":
            self.response.status_code = 42
            return
        raise ValueError("unexpected", which)

class Hooks(Service):
    name = "hooks"

    def before_handle(self):
        self.environ["before"] = True
        raise ValueError("ignored")

    def handle(self):
        self.response.payload = self.environ

class Calls(Service):
    name = "calls"

    def handle(self):
        what = self.request.payload["do"]
        if what == "invoke":
            self.response.payload = {"got": repr(self.invoke("other", {"a": 1}, b=2))}
        elif what == "invoke-class":
            self.response.payload = {"got": self.invoke(TakesOrder, id=1).name}
        elif what == "invoke-text":
            self.response.payload = {"got": self.invoke("text", "hello")}
        elif what == "invoke-caught":
            try:
                self.invoke("bad")
            except BadRequest as error:
                self.response.payload = {"path": error.path, "msg": error.msg}
        elif what == "invoke-bad":
            self.invoke("bad")
        elif what == "invoke-missing":
            self.invoke("missing")
        elif what == "get":
            response = self.out.rest["CRM"].conn.get(self.cid, {"id": 7}, headers={"X-A": "1"})
            self.response.payload = {"ok": response.ok, "data": response.data, "type": response.headers["Content-Type"], "text": response.text}
        elif what == "post":
            response = self.rest.CRM.post({"a": 1}, timeout=2)
            self.response.payload = {"status": response.status_code, "bool": bool(response)}
        elif what == "put-text":
            self.rest["CRM"].put("plain")
        elif what == "sql":
            conn = self.out.sql["Billing"]
            self.response.payload = {
                "one": conn.one("SELECT 1 WHERE a = :a", {"a": 1}).balance, "all": conn.all("SELECT 2"), "execute": conn.execute("UPDATE", {"x": Exact("1.5")}).rows_affected,
            }
        elif what == "down":
            self.out.sql["Down"].all("SELECT 1")
        elif what == "email":
            self.out.email
        elif what == "ping":
            self.response.payload = {"ping": self.out.rest["CRM"].conn.ping(self.cid)}
'''


def host(frame: Frame, asked: Dict[str, Any]) -> Frame:
    """Answers host calls as the server does."""
    host.asked.append((asked, frame.body))  # type: ignore[attr-defined]
    if asked["op"] == "invoke":
        service = asked["service"]
        if service == "bad":
            problem = b'{"status":400,"detail":"Wrong","errors":[{"field":"/a","message":"Wrong"}],"cid":"c"}'
            return Frame(0, tail=b'{"status":400,"content_type":"application/problem+json","is_json":true}', body=problem)
        if service == "missing":
            return Frame(0, code=404, tail=b'{"error":"no service is called \'missing\'","type":"NotFound"}')
        if service == "text":
            return Frame(0, tail=b'{"status":200,"content_type":"text/plain; charset=utf-8"}', body=b'{"a": 1}')
        if service == "takes-order":
            return Frame(0, tail=b'{"status":200,"is_json":true}', body=b'{"name":"Anna"}')
        return Frame(0, tail=b'{"status":200,"content_type":null,"is_json":true}', body=b'{"done":true}')
    if asked["name"] == "Down":
        return Frame(0, code=503, tail=b'{"error":"Down: connection refused","type":"ServiceUnavailable"}')
    if asked["kind"] == "sql-outgoing":
        return Frame(
            0,
            tail=b'{"result":null}',
            body={"one": b'{"balance":"12.50"}', "all": b'[{"a":1},{"a":2}]', "execute": b'{"rows_affected":3}'}[asked["operation"]],
        )
    if asked["operation"] == "ping":
        return Frame(0, tail=b'{"result":"200 OK"}')
    head = b'{"result":{"status":200,"reason":"OK","headers":{"content-type":"application/json"}}}'
    return Frame(0, tail=head, body=b'{"name":"Anna"}')


host.asked = []  # type: ignore[attr-defined]


class ServiceApi(unittest.TestCase):
    worker: Worker

    @classmethod
    def setUpClass(cls) -> None:
        cls.worker = Worker({"api.py": SERVICES}, host=host)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.worker.close()

    def call(self, service: str, payload: Any = None, **options: Any) -> Any:
        return self.worker.call(service, payload, **options)

    def check_problem(self, reply: Any, status: int, detail: str, path: str = "") -> None:
        self.assertEqual(reply.status, status, reply.body)
        self.assertFalse(reply.is_error)
        self.assertEqual(reply.tail["content_type"], "application/problem+json")
        problem = reply.json()
        self.assertEqual((problem["status"], problem["cid"]), (status, "cid-1"))
        self.assertIn(detail, problem["detail"])
        self.assertEqual([each["field"] for each in problem.get("errors", [])], [path] if path else [])

    def test_hello_lists_services_with_schemas(self) -> None:
        self.assertEqual(self.worker.hello["refused"], [])
        services = {each["name"]: each for each in self.worker.hello["services"]}
        self.assertEqual(services["echo"]["doc"], "Answers with what came.\n\nWhatever it is.")
        self.assertEqual((services["echo"]["file"], services["echo"]["class"], services["echo"]["input"]), ("api.py", "Echo", None))
        self.assertEqual(services["declared"]["input"]["required"], ["name", "is_active", "line_count"])
        order = services["takes-order"]["input"]
        self.assertEqual(order["required"], ["id", "lines"])
        self.assertEqual(order["properties"]["lines"]["items"]["properties"]["qty"], {"type": "integer"})

    def test_payloads_of_answers(self) -> None:
        for which, body, is_json, content_type in (
            ("none", b"", False, None),
            ("text", b"text", False, "text/plain; charset=utf-8"),
            ("bytes", b"\x00\xff", False, "application/octet-stream"),
            ("list", b"[1,2]", True, None),
            ("dict", b'{"a":{"b":null}}', True, None),
            ("empty-dict", b"{}", True, None),
            ("zero", b"0", True, None),
            ("false", b"false", True, None),
            ("empty-list", b"[]", True, None),
            ("tuple", b"[1,2]", True, None),
            ("exact", b'{"whole":12,"part":12.5}', True, None),
            ("date", b'{"day":"2026-05-01"}', True, None),
            ("model", b'{"name":"Anna","age":40}', True, None),
            ("models", b'[{"name":"Anna","age":40}]', True, None),
            ("accent", '{"ä":"é"}'.encode(), True, None),
        ):
            with self.subTest(which):
                reply = self.call("kinds", which)
                self.assertEqual((reply.status, reply.body, reply.is_json), (200, body, is_json))
                self.assertEqual(reply.tail.get("content_type"), content_type)

    def test_a_text_that_is_json_answers_a_json_channel_as_json(self) -> None:
        self.assertTrue(self.call("kinds", "json-text", **http()).is_json)
        self.assertFalse(self.call("kinds", "json-text").is_json)

    def test_answers_that_are_no_json_are_errors(self) -> None:
        for which in ("unserialisable", "nan"):
            reply = self.call("kinds", which)
            self.assertEqual((reply.status, reply.is_error), (500, True))
            self.assertEqual(reply.json()["cid"], "cid-1")

    def test_a_returned_value_is_the_answer(self) -> None:
        self.assertEqual(self.call("returns").json(), {"returned": True})

    def test_status_headers_and_content_type(self) -> None:
        reply = self.call("response")
        self.assertEqual((reply.status, reply.body), (201, b"a,b\n"))
        self.assertEqual(reply.tail, {"content_type": "text/csv", "headers": {"X-Rows": "2", "Set-Cookie": ["a=1", "b=2"]}})

    def test_payload_and_raw_request(self) -> None:
        over_http = self.call("raw", raw=b'{"a": 1}', **http(merged_params={"b": "2"})).json()
        self.assertEqual(over_http, {"raw": "b'{\"a\": 1}'", "payload": "{'a': 1}", "input": "{'a': 1, 'b': '2'}"})
        self.assertEqual(self.call("raw", {"a": 1}).json()["raw"], "{'a': 1}")
        self.assertEqual(self.call("raw", raw=b"text").json()["payload"], "'text'")
        self.assertEqual(self.call("raw", raw=b"\xff", **http(data_format="")).json()["payload"], "b'\\xff'")
        self.assertEqual(self.call("raw", raw=b"a=1&b=x+y", **http(data_format="form")).json()["payload"], "{'a': '1', 'b': 'x y'}")
        self.assertEqual(self.call("raw").json()["payload"], "None")

    def test_what_the_server_made_of_a_body_stands_before_the_body(self) -> None:
        made, came = b'{"a": "1"}', b"a=%31"
        facts = http(data_format="form", raw_at=len(made), merged_params={"b": "2"})
        reply = self.call("raw", raw=made + came, **facts).json()
        self.assertEqual(reply, {"raw": "b'a=%31'", "payload": "{'a': '1'}", "input": "{'a': '1', 'b': '2'}"})

    def test_unpaired_surrogates_come_back_as_they_came(self) -> None:
        self.assertEqual(self.call("echo", raw=b'["\\ud800"]', **http()).body, b'["\\ud800"]')

    def test_a_body_that_is_no_json_is_a_bad_request(self) -> None:
        for raw in (b'{"a": ', b"\xff", b"nope", b"[NaN]", b"[" * 100_000):
            self.check_problem(self.call("echo", raw=raw, **http()), 400, "The body is no JSON")
            self.assertEqual(self.call("declared", raw=raw, **http()).status, 400)

    def test_verbs(self) -> None:
        self.assertEqual(self.call("verbs", **http("GET", params={"id": "7"})).json(), {"verb": "GET", "id": "7"})
        self.assertEqual(self.call("verbs", **http("HEAD", params={"id": "7"})).status, 200)
        reply = self.call("verbs", **http("DELETE"))
        self.check_problem(reply, 405, "no handler for DELETE")
        self.assertEqual(reply.tail["headers"], {"Allow": "GET, HEAD, POST"})
        self.assertEqual(self.call("only-post").json(), {"verb": "POST"})
        self.assertEqual(self.call("verbs").status, 405)

    def test_http_facts(self) -> None:
        facts = self.call(
            "facts",
            raw=b"f=1&f=2",
            **http(
                "POST",
                "/users/7",
                "form",
                query={"q": "1", "r": ["1", "2"]},
                params={"id": "7"},
                headers={"x-one": "1", "user-agent": "test", "content-type": "application/x-www-form-urlencoded"},
            ),
        ).json()
        self.assertEqual((facts["method"], facts["path"], facts["GET"]), ("POST", "/users/7", {"q": "1", "r": "2"}))
        self.assertEqual(facts["query"], {"q": ["1"], "r": ["1", "2"]})
        self.assertEqual((facts["POST"], facts["params"]), ({"f": "2"}, {"q": "1", "r": "2", "id": "7"}))
        self.assertEqual((facts["agent"], facts["header"], facts["missing"], facts["environ"]), ("test", "1", None, "1"))
        self.assertEqual((facts["cid"], facts["name"], facts["impl"], facts["channel"], facts["year"]), ("cid-1", "facts", "api.Facts", "test", 4))

    def test_declared_input(self) -> None:
        reply = self.call("declared", {"name": 5, "is_active": "true", "line_count": "3", "extra": {"a": [1]}, "since": "2026-05-01", "price": "1.5"})
        self.assertEqual(
            reply.json(),
            {"name": "5", "nick": "", "is_active": True, "line_count": 3, "price": "1.5", "extra": {"a": [1]}, "since": "2026-05-01", "limit": "5"},
        )
        merged = {"name": "n", "is_active": True, "line_count": 1}
        self.assertEqual(self.call("declared", {"name": "body"}, **http(merged_params=merged)).json()["name"], "n")
        self.assertEqual(self.call("declared", {"name": "body"}, **http(merged_params=merged, message_wins=True)).json()["name"], "body")
        self.assertEqual(self.call("declared", **http(merged_params=merged)).json()["name"], "n")
        self.assertIsNone(self.call("declared", {**merged, "name": None}).json()["name"])

    def test_declared_input_that_does_not_fit(self) -> None:
        whole = {"name": "n", "is_active": True, "line_count": 1}
        self.check_problem(self.call("declared", {}), 400, "the element is missing", "/name")
        self.check_problem(self.call("declared", {**whole, "line_count": "x"}), 400, "expected a whole number, found text 'x'", "/line_count")
        self.check_problem(self.call("declared", {**whole, "line_count": [1]}), 400, "found array", "/line_count")
        self.check_problem(self.call("declared", {**whole, "is_active": "maybe"}), 400, "true or false", "/is_active")
        self.check_problem(self.call("declared", {**whole, "price": "1,5"}), 400, "a number", "/price")
        self.check_problem(self.call("declared", {**whole, "since": "May"}), 400, "a date", "/since")
        self.check_problem(self.call("declared", [1]), 400, "expected an object, found array", "/")
        self.check_problem(self.call("nested", {"customer": {"age": 1}}), 400, "missing", "/customer/name")

    def test_declared_output(self) -> None:
        self.assertEqual(self.call("outputs").json(), {"a": "12.5", "c": 7, "d": None})
        reply = self.call("forgot")
        self.assertEqual((reply.status, reply.is_error), (500, True))
        self.assertIn("output element '/a'", reply.json()["message"])
        self.assertEqual(self.call("nested", {"customer": {"name": "n"}}).json(), {"age": {"is_known": False}})
        self.assertEqual(self.call("old", {"a": 1}).json(), {"response": {"a": "1", "b": ""}})

    def test_models(self) -> None:
        order = {"id": "1", "lines": [{"sku": "A", "qty": 1}, {"sku": "B", "qty": 2}], "rate": None}
        self.assertEqual(self.call("takes-order", order).json(), {"name": "A:2:None:[]:None", "age": 40})
        self.check_problem(self.call("takes-order", {"id": 1, "lines": [{"sku": "A", "qty": 1}, {"sku": "B"}]}), 400, "missing", "/lines[1]/qty")
        self.check_problem(self.call("takes-order", {"id": 1, "lines": [{"sku": "A", "qty": "x"}]}), 400, "whole number", "/lines[0]/qty")
        self.check_problem(self.call("takes-order", {"id": 1, "lines": {}}), 400, "expected an array", "/lines")
        self.check_problem(self.call("takes-order", {"id": True, "lines": []}), 400, "whole number", "/id")
        self.check_problem(self.call("takes-order"), 400, "missing", "/id")

    def test_exceptions_for_the_caller(self) -> None:
        for which, status, detail in (
            ("bad-request", 400, "Wrong"),
            ("one-argument", 404, "No such user"),
            ("only-cid", 403, "Forbidden"),
            ("conflict", 409, "Exists"),
            ("too-many", 429, "Slower"),
            ("unauthorized", 401, "Who?"),
            ("teapot", 418, "Tea"),
        ):
            with self.subTest(which):
                self.check_problem(self.call("raises", which), status, detail)
        self.assertEqual(self.call("raises", "unauthorized").tail["headers"], {"WWW-Authenticate": "Basic realm=x"})

    def test_other_exceptions(self) -> None:
        reply = self.call("raises", "other")
        self.assertEqual((reply.status, reply.is_error), (500, True))
        raised = reply.json()
        self.assertEqual((raised["type"], raised["message"], raised["cid"]), ("ValueError", "('unexpected', 'other')", "cid-1"))
        self.assertIn("api.py", raised["traceback"])
        self.assertNotIn("leader.py", raised["traceback"])
        self.assertIn("sys.exit(3)", self.call("raises", "exit").json()["message"])
        self.assertIn("no HTTP status", self.call("raises", "status").json()["message"])

    def test_hooks(self) -> None:
        self.assertEqual(self.call("hooks").json(), {"before": True})
        self.worker.wait(lambda: any("before_handle raised an exception" in line for line in self.worker.log_lines("hooks")))

    def asked(self, what: str) -> Any:
        host.asked.clear()  # type: ignore[attr-defined]
        reply = self.call("calls", {"do": what})
        return (reply, *host.asked)  # type: ignore[attr-defined]

    def test_invoke(self) -> None:
        reply, (asked, body) = self.asked("invoke")
        self.assertEqual(reply.json(), {"got": "{'done': True}"})
        self.assertEqual((asked, body), ({"op": "invoke", "service": "other"}, b'{"a":1,"b":2}'))
        reply, (asked, body) = self.asked("invoke-class")
        self.assertEqual((reply.json(), asked["service"]), ({"got": "Anna"}, "takes-order"))
        reply, (asked, body) = self.asked("invoke-text")
        self.assertEqual((reply.json(), body), ({"got": '{"a": 1}'}, b'"hello"'))

    def test_what_an_invoked_service_raises_is_raised_again(self) -> None:
        self.assertEqual(self.asked("invoke-caught")[0].json(), {"path": "/a", "msg": "Wrong"})
        self.check_problem(self.asked("invoke-bad")[0], 400, "Wrong", "/a")
        self.check_problem(self.asked("invoke-missing")[0], 500, "is not available")

    def test_rest_connections(self) -> None:
        reply, (asked, body) = self.asked("get")
        self.assertEqual(reply.json(), {"ok": True, "data": {"name": "Anna"}, "type": "application/json", "text": '{"name":"Anna"}'})
        self.assertEqual((asked["kind"], asked["name"], asked["operation"], body), ("rest-outgoing", "CRM", "get", b""))
        self.assertEqual(asked["arguments"], {"params": {"id": 7}, "headers": {"X-A": "1"}})
        reply, (asked, body) = self.asked("post")
        self.assertEqual((reply.json(), body), ({"status": 200, "bool": True}, b'{"a":1}'))
        self.assertEqual(asked["arguments"], {"params": {}, "headers": {"Content-Type": "application/json"}, "timeout_ms": 2000})
        _, (asked, body) = self.asked("put-text")
        self.assertEqual((asked["operation"], asked["arguments"]["headers"], body), ("put", {}, b"plain"))
        self.assertEqual(self.asked("ping")[0].json(), {"ping": "200 OK"})

    def test_sql_connections(self) -> None:
        reply, (one, _), (all_, _), (execute, _) = self.asked("sql")
        self.assertEqual(reply.json(), {"one": "12.50", "all": [{"a": 1}, {"a": 2}], "execute": 3})
        self.assertEqual(one["arguments"], {"query": "SELECT 1 WHERE a = :a", "params": {"a": 1}})
        self.assertEqual(
            (one["kind"], one["operation"], all_["operation"], execute["arguments"]["params"]), ("sql-outgoing", "one", "all", {"x": 1.5})
        )

    def test_a_connection_that_is_down_is_a_503_and_in_the_log(self) -> None:
        self.check_problem(self.asked("down")[0], 503, "is not available")
        self.worker.wait(lambda: any("connection refused" in line for line in self.worker.log_lines("calls")))

    def test_what_is_not_supported_says_so(self) -> None:
        self.assertIn("there are: rest, sql", self.asked("email")[0].json()["message"])

    def test_a_service_that_does_not_exist_in_the_worker(self) -> None:
        self.worker.send(Frame(protocol.REQUEST, code=999, id=1 << 50))
        self.assertEqual(self.worker.reply(1 << 50).status, 404)


if __name__ == "__main__":
    unittest.main()
