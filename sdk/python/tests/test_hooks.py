"""Hooks, JSON Schemas and what is done when a service is deployed, through a worker."""

import unittest
from typing import Any

from harness import Worker, http

SERVICES = """
from tenon import BadRequest, Service

deployed = []

class Seen(Service):
    name = "seen"

    def before_job(self):
        self.seen = ["before_job"]

    def before_one_time_job(self):
        self.seen.append("before_one_time_job")

    def before_cron_style_job(self):
        self.seen.append("before_cron_style_job")

    def before_handle(self):
        self.seen = getattr(self, "seen", []) + ["before_handle"]

    def handle(self):
        self.seen.append("handle")
        return self.seen

    def after_handle(self):
        self.seen.append("after_handle")

    def after_job(self):
        self.seen.append("after_job")

class Off(Seen):
    name = "off"
    call_hooks = False

    def handle(self):
        return {"hooks": hasattr(self, "seen")}

class Fails(Service):
    name = "fails"

    def before_handle(self):
        raise ValueError("in before_handle")

    def handle(self):
        raise BadRequest(self.cid, "in handle")

    def after_handle(self):
        self.logger.error("after_handle was run")

    def finalize_handle(self):
        self.logger.info("finalize_handle was run")

class Verbs(Service):
    name = "verbs"

    def validate_input(self):
        self.checked = True

    def handle_GET(self):
        return {"checked": self.checked, "verb": "GET"}

class Async(Service):
    name = "async"

    async def validate_input(self):
        if self.request.payload == "bad":
            raise BadRequest(self.cid, "refused")

    async def handle(self):
        return {"ok": True}

    async def finalize_handle(self):
        self.logger.info("finalized")

class WithSchema(Service):
    name = "with-schema"
    schema = "order.json"

    def handle(self):
        return {"id": self.request.payload["id"]}

class NotDeployed(Service):
    name = "not-deployed"

    @classmethod
    def before_add_to_store(cls, logger):
        return False

    def handle(self):
        pass

class Deployed(Service):
    name = "deployed"

    @classmethod
    def after_add_to_store(cls, logger):
        deployed.append(cls.name)
        raise ValueError("logged only")

    def handle(self):
        return deployed
"""
SCHEMA = '{"type": "object", "required": ["id"], "properties": {"id": {"type": "integer", "maximum": 9}}}'


class HooksOfServices(unittest.TestCase):
    worker: Worker

    @classmethod
    def setUpClass(cls) -> None:
        cls.worker = Worker({"api.py": SERVICES, "order.json": SCHEMA})

    @classmethod
    def tearDownClass(cls) -> None:
        cls.worker.close()

    def call(self, service: str, payload: Any = None, **options: Any) -> Any:
        return self.worker.call(service, payload, **options)

    def test_order(self) -> None:
        self.assertEqual(self.call("seen").json(), ["before_handle", "handle", "after_handle"])

    def test_jobs(self) -> None:
        self.assertEqual(
            self.call("seen", channel="scheduler").json(),
            ["before_job", "before_handle", "handle", "after_handle", "after_job"],
        )
        self.assertEqual(
            self.call("seen", channel="scheduler", job_type="one_time").json(),
            ["before_job", "before_one_time_job", "before_handle", "handle", "after_handle", "after_job"],
        )

    def test_switched_off(self) -> None:
        self.assertEqual(self.call("off").json(), {"hooks": False})

    def test_failures(self) -> None:
        reply = self.call("fails")
        self.assertEqual((reply.status, reply.json()["detail"]), (400, "in handle"))
        self.worker.wait(lambda: "finalize_handle was run" in self.worker.log_lines("fails"))
        self.assertTrue(any("before_handle raised an exception" in line for line in self.worker.log_lines("fails")))
        self.assertNotIn("after_handle was run", self.worker.log_lines("fails"))

    def test_verbs(self) -> None:
        self.assertEqual(self.call("verbs", **http("GET")).json(), {"checked": True, "verb": "GET"})
        self.assertEqual(self.call("verbs").json(), {"checked": True, "verb": "GET"})

    def test_async(self) -> None:
        self.assertEqual(self.call("async").json(), {"ok": True})
        self.assertEqual(self.call("async", "bad").json()["detail"], "refused")
        self.worker.wait(lambda: len(self.worker.log_lines("async")) == 2)

    def test_schema(self) -> None:
        self.assertEqual(self.call("with-schema", {"id": 5}).json(), {"id": 5})
        for payload, path in (({"id": 10}, "/id"), ({}, "/id"), ({"id": "5"}, "/id"), ([], "/")):
            problem = self.call("with-schema", payload).json()
            self.assertEqual((problem["status"], problem["errors"][0]["field"]), (400, path))

    def test_deployment(self) -> None:
        self.assertNotIn("not-deployed", [each["name"] for each in self.worker.hello["services"]])
        self.assertEqual(self.call("deployed").json(), ["deployed"])

    def test_schemas_and_names_that_can_t_be_used(self) -> None:
        wrong = {
            "missing.py": "from tenon import Service\nclass A(Service):\n    schema = 'missing.json'\n    def handle(self): pass\n",
            "reserved.py": "from tenon import Service\nclass B(Service):\n    name = 'zato.ping'\n    def handle(self): pass\n",
            "own.py": "from tenon import Service\nclass C(Service):\n    name = 'tenon.ping'\n    def handle(self): pass\n",
        }
        with Worker(wrong) as worker:
            refused = {each["path"]: each["error"] for each in worker.hello["refused"]}
        self.assertEqual(sorted(refused), sorted(wrong))
        self.assertIn("can't be read", refused["missing.py"])
        self.assertIn("reserved", refused["reserved.py"])


if __name__ == "__main__":
    unittest.main()
