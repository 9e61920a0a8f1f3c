"""What a service sees of its call, and bodies that can't be read."""

import unittest
from typing import Any

from harness import Worker, http

SERVICES = """
from typing import List
from tenon import Int, Model, Service, dataclass

class Request(Service):
    name = "request"

    def handle(self):
        request = self.request
        return {"channel_params": request.channel_params, "bunch": request.to_bunch().a.b, "query_string": request.http.query_string}

class Echo(Service):
    name = "echo"

    def handle(self):
        self.response.payload = self.request.payload

class Input(Service):
    name = "input"

    def handle(self):
        self.response.payload = self.request.input

class Declared(Service):
    name = "declared"
    input = Int("-whole"), "-any"

    def handle(self):
        self.response.payload = {"any": self.request.input.any}

@dataclass(init=False)
class Node(Model):
    nodes: "List[Node]"

class Tree(Service):
    name = "tree"
    input = Node

    def handle(self):
        return "read"

class Logs(Service):
    name = "logs"
    input = "user", "password"

    def handle(self):
        self.log_input("got")
        self.response.payload = {"token": "t0k", "list": [{"api_key": "k3y"}], "name": "n"}
        self.log_output()

class Channel(Service):
    name = "channel"

    def handle(self):
        security = self.channel.security
        return {"dict": security.to_dict(), "claims": security.claims, "is_open": not security, "target": self.channel.match_target}
"""


class Requests(unittest.TestCase):
    worker: Worker

    @classmethod
    def setUpClass(cls) -> None:
        cls.worker = Worker({"api.py": SERVICES})

    @classmethod
    def tearDownClass(cls) -> None:
        cls.worker.close()

    def call(self, service: str, payload: Any = None, **options: Any) -> Any:
        return self.worker.call(service, payload, **options)

    def test_parameters(self) -> None:
        facts = http(query={"a": "1", "b": ["2", "3"]}, params={"id": "7"}, merged_params={"a": "1", "id": "7"})
        reply = self.call("request", {"a": {"b": 1}}, **facts)
        self.assertEqual(reply.json(), {"channel_params": {"a": "1", "id": "7"}, "bunch": 1, "query_string": "a=1&b=2&b=3"})

    def test_bodies_that_are_nested_too_deeply(self) -> None:
        for depth in (300, 900, 1_100, 5_000, 200_000):
            for opening, closing in (('{"nodes":[', "]}"), ("[", "]")):
                body = (opening * depth + closing * depth).encode()
                for service in ("echo", "input", "declared", "tree"):
                    with self.subTest(depth=depth, opening=opening, service=service):
                        reply = self.call(service, raw=body, **http())
                        self.assertLess(reply.status, 500, reply.body)

    def test_numbers_that_are_too_large(self) -> None:
        for number in ("1e999", "-1e999", "NaN", "Infinity", "9" * 500 + ".0"):
            for service in ("echo", "declared"):
                with self.subTest(number=number[:20], service=service):
                    reply = self.call(service, raw=f'{{"any": {number}}}'.encode(), **http())
                    self.assertEqual(reply.status, 400)
                    self.assertIn("no JSON", reply.json()["detail"])

    def test_numbers_with_very_many_digits(self) -> None:
        for service in ("echo", "declared"):
            reply = self.call(service, raw=b'{"whole": ' + b"9" * 10_000 + b"}", **http())
            # Older versions of Python read them.
            self.assertIn(reply.status, (200, 400), reply.body)
            self.assertNotIn("sys.", reply.json().get("detail", ""))

    def test_the_log_has_no_secrets(self) -> None:
        self.call("logs", {"user": "anna", "password": "hunter2"})
        self.worker.wait(lambda: len(self.worker.log_lines("logs")) == 2)
        lines = "\n".join(self.worker.log_lines("logs"))
        self.assertIn("got input of logs: {'user': 'anna', 'password': '******'}", lines)
        for secret in ("hunter2", "t0k", "k3y"):
            self.assertNotIn(secret, lines)

    def test_security(self) -> None:
        open_channel = self.call("channel", **http("GET", "/a")).json()
        self.assertEqual((open_channel["is_open"], open_channel["target"]), (True, "GET/a"))
        secured = self.call("channel", **http(security={"name": "partners", "type": "jwt", "username": "anna", "claims": {"aud": "x"}})).json()
        self.assertEqual(secured["dict"], {"id": "partners", "name": "partners", "type": "jwt", "username": "anna"})
        self.assertEqual((secured["claims"], secured["is_open"]), ({"aud": "x"}, False))


if __name__ == "__main__":
    unittest.main()
