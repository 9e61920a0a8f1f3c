"""What services ask of the platform, through a real worker's frames; the platform in memory answers."""

import json
import os
import time
import unittest
from typing import Any, Dict, List, Tuple
from unittest import mock

from harness import Worker, http

from tenon import protocol
from tenon.protocol import FLAG_JSON, Frame
from tenon.testing import Platform

SERVICES = '''
import asyncio, subprocess, threading, time
from tenon import Cancelled, Service
from zato.common.exception import BadRequest

class Given(Service):
    name = "given"

    def handle(self):
        payload = self.request.payload
        self.response.payload = {"got": repr(payload), "text": self.request.text}

class Sync(Service):
    """Runs what is asked for, an expression."""
    name = "sync"

    def handle(self):
        return {"got": eval(self.request.payload, {"self": self, "Given": Given, "time": time})}

class Async(Service):
    name = "async"

    async def handle(self):
        return {"got": await eval(self.request.payload, {"self": self, "Given": Given, "asyncio": asyncio, "locked": self.locked, "told": self.told})}

    async def locked(self):
        async with self.lock("orders", ttl=5, block=1) as lock:
            return [lock.name, lock.acquired, lock.token]

    async def told(self):
        told = []
        result = await self.commands.invoke("echo a", callback=lambda result: told.append(result.stdout))
        return [result.stdout, told]

class Locks(Service):
    name = "locks"

    def handle(self):
        with self.lock() as lock:
            return {"name": lock.name, "token": lock.token}

class Answered(Service):
    name = "answered"

    def handle(self):
        self.invoke_async("given", {"a": 1})
        self.invoke_async(Given, {"a": 1}, callback=self)

class Sink(Service):
    name = "answered-async-callback"

    def handle(self):
        outcome = self.request.outcome
        return {"payload": self.request.payload, "cid": self.in_reply_to, "is_ok": outcome.is_ok, "type": self.channel.type}

class Sleeps(Service):
    name = "sleeps"

    def handle(self):
        self.logger.info("begins")
        return {"timed-out": self.commands.invoke(f"sleep 61.5 & echo $! > {self.request.payload['file']}; wait", timeout=50).is_timeout}

class SleepsAsync(Service):
    name = "sleeps-async"

    async def handle(self):
        self.logger.info("begins")
        await self.commands.invoke(f"sleep 61.5 & echo $! > {self.request.payload['file']}; wait", timeout=50)

class Naps(Service):
    name = "naps"

    def handle(self):
        self.logger.info("naps")
        self.sleep(60)

class Limited(Service):
    name = "limited"

    def handle(self):
        result = self.commands.invoke(f"echo before; sleep 61.5 & echo $! > {self.request.payload['file']}; wait", timeout=0.5)
        return {"timeout": result.is_timeout, "ok": result.is_ok, "stdout": result.stdout, "code": result.exit_code, "why": result.timeout_msg}

class Background(Service):
    name = "background"

    def handle(self):
        done = threading.Event()
        results = []
        go = self.request.payload["file"]
        command = f"while [ ! -e {go} ]; do sleep 0.02; done; cat"
        result = self.commands.invoke_async(["sh", "-c", command], stdin="hello", callback=lambda result: (results.append(result), done.set()))
        started = result.is_ok
        open(go, "w").close()
        done.wait(20)
        return {"started": started, "same": results == [result], "stdout": result.stdout, "ok": result.is_ok, "took": result.total_time_sec >= 0}
'''


class Caller:
    """The call that asks, as the platform in memory sees it."""

    def __init__(self, service: str) -> None:
        self._entry = mock.Mock()
        self._entry.name = service
        self.cid = "cid-1"
        self.metadata: Dict[str, Any] = {}


class HostCalls(unittest.TestCase):
    worker: Worker
    platform: Platform
    asked: List[Tuple[Dict[str, Any], bytes, bool]]

    @classmethod
    def setUpClass(cls) -> None:
        with mock.patch.dict(os.environ, {"TENON_SERVER": "server7", "TENON_CLUSTER": "demo"}):
            cls.worker = Worker({"api.py": SERVICES}, host=cls.host)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.worker.close()

    @classmethod
    def host(cls, frame: Frame, asked: Dict[str, Any]) -> Frame:
        is_json = bool(frame.flags & FLAG_JSON)
        cls.asked.append((asked, frame.body, is_json))
        answer = cls.platform.serve(Caller("sync"), asked, frame.body, is_json)
        return Frame(0, answer.flags, answer.code, tail=answer.tail, body=answer.body)

    def setUp(self) -> None:
        type(self).platform = self.platform = Platform()
        type(self).asked = []

    def got(self, expression: str, service: str = "sync") -> Any:
        reply = self.worker.call(service, expression)
        self.assertEqual((reply.status, reply.is_error), (200, False), reply.body)
        return reply.json()["got"]

    def both(self, expression: str) -> List[Any]:
        """What an expression gives in a synchronous and in an async service."""
        return [self.got(expression), self.got(expression, "async")]

    def test_invoke_says_what_it_wants(self) -> None:
        self.platform.servers.append("server2")
        self.platform.services["other"].answer({"done": True})
        self.assertEqual(self.both("self.invoke('other', {'a': 1}, b=2, timeout=1.5)"), [{"done": True}] * 2)
        self.assertEqual(self.asked[0], ({"op": "invoke", "service": "other", "timeout_ms": 1500}, b'{"a":1,"b":2}', True))
        self.got("self.invoke('other@server2', 'text')")
        self.assertEqual(self.asked[2], ({"op": "invoke", "service": "other", "server": "server2"}, b'"text"', True))
        self.got("self.invoke('other', b'raw')")
        self.assertEqual(self.asked[3], ({"op": "invoke", "service": "other"}, b"raw", False))
        self.assertEqual(self.got("self.invoke('other', serialize=True)"), '{"done":true}')
        self.assertEqual(self.got("self.invoke('other', as_bunch=True).done"), True)
        self.assertEqual(self.got("self.invoke('other', '', skip_response_elem=True)"), {"done": True})
        self.assertEqual(self.asked[-1][1:], (b"", False))
        self.platform.services["given"].answer(1)
        self.got("self.invoke_by_impl_name('api.Given')")
        self.got("self.server.invoke(Given)")
        self.assertEqual([asked["service"] for asked, _, _ in self.asked[-2:]], ["given", "given"])

    def test_a_timeout_may_be_no_exception(self) -> None:
        self.platform.services["slow"].answer(TimeoutError("too slow"))
        self.assertEqual(self.both("self.invoke('slow', timeout=1, raise_timeout=False)"), [None, None])
        reply = self.worker.call("sync", "self.invoke('slow')")
        self.assertEqual(reply.status, 504)

    def test_invoke_async_with_callbacks(self) -> None:
        cids = self.both("self.invoke_async('given', {'a': 1}, callback=['one', Given], cid='the-cid', zato_ctx={'b': 1})")
        self.assertEqual(cids, ["the-cid"] * 2)
        wanted = {"op": "invoke-async", "service": "given", "callback": ["one", "given"], "cid": "the-cid", "context": {"b": 1}}
        self.assertEqual(self.asked[0], (wanted, b'{"a":1}', True))
        self.worker.call("answered")
        self.assertEqual([asked.get("callback") for asked, _, _ in self.asked[2:]], [["answered-async-callback"], ["answered"]])
        self.got("self.invoke_async('given', {'a': 1}, to_json_string=True)")
        self.assertEqual(self.asked[-1][1:], (b'"{\\"a\\":1}"', True))

    def test_a_callback_gets_the_answer_itself(self) -> None:
        told = {"service": "given", "is_ok": True, "data": {"a": 1}, "error": "", "cid": "cid-9", "context": None, "phase": "callback"}
        metadata = {"channel": "invoke-async-callback", "channel_name": "answered"}
        reply = self.worker.call("answered-async-callback", told, **metadata).json()
        self.assertEqual(reply, {"payload": {"a": 1}, "cid": "cid-9", "is_ok": True, "type": "invoke-async-callback"})
        failed = self.worker.call("answered-async-callback", {**told, "is_ok": False, "data": None, "error": "why"}, **metadata).json()
        self.assertEqual((failed["payload"]["error"], failed["is_ok"]), ("why", False))
        self.assertIn("'phase': 'callback'", self.worker.call("given", told).json()["got"], "a payload that only looks like it is left alone")

    def test_fan_out_and_parallel(self) -> None:
        self.both("self.patterns.fanout.invoke({'a': 1, Given: None}, on_final='end', on_target=[Given, 'each'], cid='c')")
        wanted = {"op": "fan-out", "targets": ["a", "given"], "on_final": ["end"], "on_target": ["given", "each"], "cid": "c"}
        self.assertEqual(self.asked[0], (wanted, b"[1,null]", True))
        self.got("self.patterns.parallel.invoke({'a': {'x': 1}}, 'each')")
        self.assertEqual(self.asked[-1], ({"op": "fan-out", "targets": ["a"], "on_target": ["each"]}, b'[{"x":1}]', True))

    def test_retry(self) -> None:
        self.platform.services["flaky"].answer(ValueError("1"), {"done": True}, ValueError("2"), {"done": True})
        self.assertEqual(self.both("self.patterns.invoke_retry.invoke('flaky', {'a': 1}, repeats=2, seconds=0.01)"), [{"done": True}] * 2)
        self.got("self.patterns.invoke_retry.invoke_async('flaky', b=1, repeats=3, minutes=2, callback='end', context={'c': 1})")
        wanted = {"op": "retry-async", "service": "flaky", "repeats": 3, "delay_ms": 120000, "callback": ["end"], "context": {"c": 1}}
        self.assertEqual(self.asked[-1], (wanted, b'{"b":1}', True))

    def test_every_server_and_this_one(self) -> None:
        self.platform.servers = ["server1", "server2"]
        self.platform.services["other"].answer(5)
        self.assertEqual(self.got("[one.data for one in self.server.rpc.invoke_all('other', timeout=2).data]"), [5, 5])
        self.assertEqual(self.asked[0][0], {"op": "invoke-all", "service": "other", "timeout_ms": 2000})
        self.assertEqual(self.got("[self.server.name, self.server.cluster_name, self.server.user_ctx.setdefault('a', 1)]"), ["server7", "demo", 1])
        self.assertEqual(self.got("self.server.user_ctx['a']", "sync"), 1)

    def test_the_cache(self) -> None:
        self.assertEqual(self.both("self.cache.default.set('a', {'n': 1}, expiry=1.5)"), [None, {"n": 1}])
        wanted = {"op": "cache", "action": "set", "cache": "default", "key": "a", "expiry_ms": 1500}
        self.assertEqual(self.asked[0], (wanted, b'{"n":1}', True))
        self.assertEqual(self.both("self.cache.default['a']"), [{"n": 1}] * 2)
        self.assertEqual(self.got("[self.cache.default.set('b', b'\\xff'), self.cache.default['b'] == b'\\xff']"), [None, True])
        self.assertEqual(self.got("[self.cache.default.set('t', 'text'), self.cache.get('t'), self.cache.set('none', None), 'none' in self.cache.default]"),
                         [None, "text", True, True])  # fmt: skip
        self.assertEqual(self.both("self.cache.default.set_by_prefix('a', 2)"), [1, 1])
        self.assertEqual(self.both("self.cache.incr('n')"), [1, 2])
        self.assertEqual(self.both("self.cache.default.delete_by_regex('^[ab]$', return_found=False)"), [2, 0])
        self.got("self.cache.get_cache('builtin', 'own').expire('x', 60)")
        self.assertEqual(self.asked[-1][0], {"op": "cache", "action": "expire", "cache": "own", "key": "x", "expiry_ms": 60000})

    def test_locks(self) -> None:
        self.assertEqual(self.worker.call("locks").json(), {"name": "locks", "token": 1})
        self.assertEqual(self.asked[0][0], {"op": "lock", "action": "acquire", "name": "locks", "ttl_ms": 20000, "block_ms": 10000})
        self.assertEqual(self.asked[1][0], {"op": "lock", "action": "release", "name": "locks", "ttl_ms": 20000, "token": 1})
        self.assertEqual(self.got("locked()", "async"), ["orders", True, 2])
        self.assertEqual(self.got("[self.lock('a').acquire(), self.lock('a', block=0).acquire()]"), [True, False])
        self.platform.locks.hold("locks")
        with mock.patch("tenon.testing.memory.LOCK_WAIT_SECONDS", 0.01):
            reply = self.worker.call("locks")
        self.assertEqual(reply.status, 503)

    def test_jobs(self) -> None:
        names = self.both("self.schedule.onetime(self, Given, 'daily', data={'a': 1}, after_minutes=2)")
        self.assertEqual(names, ["daily", "daily"])
        self.assertEqual(self.asked[0], ({"op": "schedule-onetime", "service": "given", "name": "daily", "after_ms": 120000}, b'{"a":1}', True))
        self.got("self.schedule.onetime('given', prefix='p', start_date='2030-05-01T12:00:00+02:00')")
        self.assertEqual(self.asked[-1][0], {"op": "schedule-onetime", "service": "given", "prefix": "p", "at": "2030-05-01T10:00:00Z"})

    def test_crypto(self) -> None:
        self.assertEqual(self.got("self.crypto.decrypt(self.crypto.encrypt('grüezi'))"), "grüezi")
        hashed = self.got("self.crypto.hash_secret('a')")
        self.assertEqual(self.both(f"self.crypto.verify_hash('a', {hashed!r})"), [True, True])
        self.assertEqual(self.got(f"self.crypto.verify_hash('b', {hashed!r})"), False)

    def test_configuration_comes_and_changes(self) -> None:
        def send(value: int) -> None:
            files = {"limits": {"orders": {"max": value}}}
            self.worker.send(Frame(protocol.CONFIG, FLAG_JSON, body=json.dumps({"version": value, "files": files}).encode()))

        send(5)
        self.assertEqual(
            self.got("[self.config.limits.orders.max, self.user_config['limits']['orders']['max'], self.config is self.config]"), [5, 5, True]
        )
        send(6)
        self.assertEqual(self.got("self.config.limits.orders.max"), 6)
        self.assertIn("no configuration file 'none'; there are: limits", self.worker.call("sync", "self.config.none").json()["message"])

    def test_metrics_are_sent(self) -> None:
        self.got("self.metrics.incr('orders', 2, country='CH')")
        self.got("self.metrics.timer_start('step_seconds') and self.metrics.timer_stop('step_seconds') >= 0")
        self.worker.wait(lambda: len(self.worker.metrics) >= 2)
        counter, histogram = self.worker.metrics[-2:]
        self.assertEqual(counter, {"name": "orders", "kind": "counter", "value": 2.0, "labels": {"country": "CH"}, "service": "sync"})
        self.assertEqual((histogram["name"], histogram["kind"]), ("step_seconds", "histogram"))


class Commands(unittest.TestCase):
    worker: Worker

    @classmethod
    def setUpClass(cls) -> None:
        cls.worker = Worker({"api.py": SERVICES})

    @classmethod
    def tearDownClass(cls) -> None:
        cls.worker.close()

    def path(self) -> str:
        path = os.path.join(self.worker.root, f"{self.id()}.pid")
        self.addCleanup(lambda: os.path.exists(path) and os.remove(path))
        return path

    def wait_for_pid(self, path: str) -> int:
        self.worker.wait(lambda: True)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    text = file.read().strip()
                if text:
                    return int(text)
            time.sleep(0.01)
        raise AssertionError("the command did not begin")

    def assert_ended(self, pid: int) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                    if file.read().rpartition(")")[2].split()[0] == "Z":
                        return
            except OSError:
                return
            time.sleep(0.01)
        raise AssertionError(f"process {pid} goes on")

    def test_a_command_and_its_children_end_when_the_time_is_up(self) -> None:
        path = self.path()
        reply = self.worker.call("limited", {"file": path}).json()
        self.assertEqual((reply["timeout"], reply["ok"], reply["stdout"], reply["code"]), (True, False, "before\n", -9))
        self.assertIn("0.5 seconds", reply["why"])
        self.assert_ended(self.wait_for_pid(path))

    def test_a_command_and_its_children_end_when_the_call_is_cancelled(self) -> None:
        for service in ("sleeps", "sleeps-async"):
            with self.subTest(service):
                path = self.path()
                id = self.worker.begin(service, {"file": path})
                pid = self.wait_for_pid(path)
                self.worker.send(Frame(protocol.CANCEL, id=id))
                self.assertEqual(self.worker.reply(id).status, 499)
                self.assert_ended(pid)
                os.remove(path)

    def test_sleep_ends_when_the_call_is_cancelled(self) -> None:
        began = len(self.worker.log_lines("naps"))
        id = self.worker.begin("naps")
        self.worker.wait(lambda: len(self.worker.log_lines("naps")) > began)
        self.worker.send(Frame(protocol.CANCEL, id=id))
        self.assertEqual(self.worker.reply(id, timeout=20).status, 499)
        self.assertEqual(self.worker.call("sync", "self.sleep(0.01)").json(), {"got": None})

    def test_the_time_of_a_command_is_that_of_the_call(self) -> None:
        path = self.path()
        deadline = time.monotonic_ns() + 1_000_000_000
        reply = self.worker.call("sleeps", {"file": path}, deadline_ns=deadline, **http())
        self.assertEqual(reply.json(), {"timed-out": True})
        self.assert_ended(self.wait_for_pid(path))

    def test_in_the_background_with_a_callback(self) -> None:
        reply = self.worker.call("background", {"file": self.path()}).json()
        self.assertEqual(reply, {"started": None, "same": True, "stdout": "hello", "ok": True, "took": True})

    def test_in_an_async_service(self) -> None:
        self.assertEqual(self.worker.call("async", "told()").json()["got"], ["a\n", ["a\n"]])

    def test_output_beyond_the_limit_is_read_and_dropped(self) -> None:
        expression = "(lambda result: [len(result.stdout), result.len_stdout_bytes])(self.commands.invoke('head -c 20000000 /dev/zero'))"
        self.assertEqual(self.worker.call("sync", expression).json()["got"], [16 << 20, 20_000_000])


if __name__ == "__main__":
    unittest.main()
