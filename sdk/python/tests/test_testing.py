"""The test kit: what a service may ask for is there, in memory, and behaves as in a cluster."""

import logging
import sqlite3
import unittest
from contextlib import suppress
from typing import Any, List

import harness  # noqa: F401 - finds the package

from tenon import BadRequest, Conflict, HostTimeout, InvocationFailed, Model, NotFound, OutgoingError, Service, ServiceMissing, dataclass
from tenon.locks import LockTimeout
from tenon.testing import Answer, Platform, RestCall, ServiceTest, run
from tenon.testing.memory import refused

# What services raise is logged, which these tests expect.
logging.getLogger().addHandler(logging.NullHandler())


class Doubles(Service):
    name = "doubles"
    input = "number_count"

    def handle(self) -> Any:
        if self.request.input.number_count < 0:
            raise BadRequest(self.cid, "It is negative")
        self.response.headers["X-Doubled"] = "yes"
        return {"doubled": self.request.input.number_count * 2}


@dataclass(init=False)
class User(Model):
    name: str


class GetUser(Service):
    name = "get-user"
    output = User

    def handle(self) -> None:
        user = User()
        user.name = "Anna"
        self.response.payload = user


class Does(Service):
    """Runs what a test gives it."""

    name = "does"
    act: Any = None

    def handle(self) -> Any:
        return type(self).act(self)


class DoesAsync(Service):
    name = "does-async"
    act: Any = None

    async def handle(self) -> Any:
        return await type(self).act(self)


def do(act: Any, platform: Any = None, service: Any = Does, **options: Any) -> Any:
    """What a function gives that is run within a service; what it raises is raised."""
    service.act = staticmethod(act)
    result = run(service, platform=platform or Platform(), **options)
    if result.exception is not None:
        raise result.exception
    return result.payload


class Runs(unittest.TestCase):
    def test_an_answer_is_what_the_caller_gets(self) -> None:
        result = run(Doubles, {"number_count": 4})
        self.assertEqual((result.status, result.payload, result.is_ok), (200, {"doubled": 8}, True))
        self.assertEqual(result.headers["x-doubled"], "yes")

    def test_over_http_with_parameters(self) -> None:
        self.assertEqual(run(Doubles, method="GET", query={"number_count": 5}).payload, {"doubled": 10})

    def test_errors_are_what_the_caller_gets(self) -> None:
        result = run(Doubles, {"number_count": -1}, method="POST", cid="the-cid")
        self.assertEqual((result.status, result.is_ok), (400, False))
        assert result.problem is not None
        self.assertEqual((result.problem["detail"], result.problem["cid"]), ("It is negative", "the-cid"))
        self.assertIsInstance(result.exception, BadRequest)
        missing = run(Doubles, {})
        assert missing.problem is not None
        self.assertEqual((missing.status, missing.problem["errors"][0]["field"]), (400, "/number_count"))

    def test_an_exception_is_a_500_that_says_nothing(self) -> None:
        def fail(self: Service) -> None:
            raise ValueError("inside")

        Does.act = staticmethod(fail)
        with self.assertLogs("does", "ERROR") as logged:
            result = run(Does)
        self.assertIn("ValueError('inside')", logged.output[0])
        self.assertIn("ValueError('inside')", repr(result))
        self.assertEqual(result.status, 500)
        self.assertNotIn("inside", result.text)
        self.assertEqual(str(result.exception), "inside")

    def test_an_async_service(self) -> None:
        async def act(self: Service) -> Any:
            return {"user": (await self.invoke("get-user")).name}

        platform = Platform(GetUser)
        self.assertEqual(do(act, platform, DoesAsync), {"user": "Anna"})

    def test_bodies_in_pieces(self) -> None:
        def act(self: Service) -> Any:
            return (piece.upper() for piece in self.request.stream)

        async def act_async(self: Service) -> Any:
            async def pieces() -> Any:
                async for piece in self.request.stream:
                    yield piece.upper()

            return pieces()

        def cut_off(self: Service) -> Any:
            yield from (b"one", b"two")
            raise ValueError("cut off")

        for service, acts in ((Does, act), (DoesAsync, act_async)):
            service.act = staticmethod(acts)
            result = run(service, pieces=[b"one,", b"two"], method="POST", data_format="")
            self.assertEqual((result.body, result.content_type), (b"ONE,TWO", "application/octet-stream"))
        Does.act = staticmethod(cut_off)
        result = run(Does)
        self.assertEqual((result.body, str(result.exception)), (b"onetwo", "cut off"))


class Invokes(unittest.TestCase):
    def test_real_classes_and_stubs(self) -> None:
        platform = Platform(GetUser)
        platform.services["crm"].answer({"id": 7}, Answer("plain"), NotFound("No such user"), ValueError("broken"), TimeoutError())
        self.assertEqual(do(lambda self: self.invoke(GetUser).name, platform), "Anna")
        self.assertEqual(do(lambda self: self.invoke("crm", {"a": 1}, b=2, timeout=3), platform), {"id": 7})
        self.assertEqual(do(lambda self: self.invoke("crm"), platform), "plain")
        for error in (NotFound, InvocationFailed, HostTimeout):
            with self.assertRaises(error):
                do(lambda self: self.invoke("crm"), platform)
        self.assertIsNone(do(lambda self: self.invoke("crm", timeout=1, raise_timeout=False), platform))
        self.assertEqual(platform.services["crm"].calls[:2], [{"a": 1, "b": 2}, None])
        with self.assertRaises(ServiceMissing):
            do(lambda self: self.invoke("nothing"), platform)

    def test_a_service_cannot_invoke_itself(self) -> None:
        with self.assertRaisesRegex(InvocationFailed, "can't invoke itself"):
            do(lambda self: self.invoke(Does))

    def test_a_failed_assertion_in_a_stub_fails_the_test_even_if_the_service_catches_it(self) -> None:
        def check(payload: Any) -> None:
            raise AssertionError("unexpected")

        def act(self: Service) -> None:
            with suppress(BaseException):
                self.invoke("crm")

        platform = Platform()
        platform.services["crm"].answer(check)
        with self.assertRaisesRegex(AssertionError, "unexpected"):
            do(act, platform)

    def test_calls_in_the_background_wait_for_the_test(self) -> None:
        told: List[Any] = []

        class Told(Service):
            name = "told"

            def handle(self) -> None:
                told.append({**self.request.outcome, "payload": self.request.payload, "in_reply_to": self.in_reply_to})

        platform = Platform(Doubles, Told)
        cid = do(lambda self: self.invoke_async("doubles", {"number_count": 1}, callback="told", zato_ctx={"for": "me"}), platform)
        self.assertEqual(told, [])
        self.assertEqual([(call.service, call.payload, call.cid) for call in platform.background.calls], [("doubles", {"number_count": 1}, cid)])
        self.assertEqual(len(platform.run_background()), 1)
        self.assertEqual(
            (told[0]["payload"], told[0]["in_reply_to"], told[0]["is_ok"], told[0]["context"]), ({"doubled": 2}, cid, True, {"for": "me"})
        )
        do(lambda self: self.invoke_async("nothing", callback=["told"]), platform)
        platform.run_background()
        self.assertEqual((told[1]["payload"]["is_ok"], told[1]["payload"]["error"]), (False, "no service is called 'nothing'"))

    def test_the_callback_of_a_retry_is_told_of_its_context(self) -> None:
        told: List[Any] = []

        class Told(Service):
            name = "told"

            def handle(self) -> None:
                told.append(self.request.payload)

        platform = Platform(Told)
        platform.services["flaky"].answer(ValueError("1"), {"done": True})
        do(lambda self: self.patterns.invoke_retry.invoke_async("flaky", repeats=1, seconds=1, callback=Told, context={"a": 1}), platform)
        platform.run_background()
        self.assertEqual((told[0]["ok"], told[0]["response"], told[0]["target"], told[0]["context"]), (True, {"done": True}, "flaky", {"a": 1}))

    def test_fan_out_tells_of_each_and_of_all(self) -> None:
        each: List[Any] = []
        final: List[Any] = []
        platform = Platform(Doubles)
        platform.services["each"].answer(lambda payload: each.append(payload))
        platform.services["final"].answer(lambda payload: final.append(payload))
        platform.services["broken"].answer(ValueError("broken"))
        targets = {"doubles": {"number_count": 3}, "broken": None}
        do(lambda self: self.patterns.fanout.invoke(targets, "final", "each"), platform)
        platform.run_background()
        self.assertEqual(
            [(one["service"], one["is_ok"], one["phase"]) for one in each], [("doubles", True, "on-target"), ("broken", False, "on-target")]
        )
        self.assertEqual((final[0]["phase"], final[0]["source"]), ("on-final", "does"))
        self.assertEqual([(one["service"], one["data"]) for one in final[0]["data"]], [("doubles", {"doubled": 6}), ("broken", None)])

    def test_retry_waits_by_the_clock_of_the_test(self) -> None:
        platform = Platform(now="2026-05-01T10:00:00")
        platform.services["flaky"].answer(ValueError("1"), ValueError("2"), {"done": True})
        self.assertEqual(do(lambda self: self.patterns.invoke_retry.invoke("flaky", {"a": 1}, repeats=3, seconds=30), platform), {"done": True})
        self.assertEqual(platform.clock.now.isoformat(), "2026-05-01T10:01:00+00:00")
        platform.services["down"].answer(ValueError("down"))
        with self.assertRaises(InvocationFailed):
            do(lambda self: self.patterns.invoke_retry.invoke("down", repeats=2, seconds=1), platform)
        self.assertEqual(len(platform.services["down"].calls), 3)
        cid = do(lambda self: self.patterns.invoke_retry.invoke("down", repeats=1, seconds=1, async_fallback=True), platform)
        self.assertEqual(platform.background.calls[0].cid, cid)

    def test_retry_in_an_async_service(self) -> None:
        async def act(self: Service) -> Any:
            return await self.patterns.invoke_retry.invoke("flaky", repeats=2, minutes=1)

        platform = Platform()
        platform.services["flaky"].answer(ValueError("1"), {"done": True})
        self.assertEqual(do(act, platform, DoesAsync), {"done": True})

    def test_every_server(self) -> None:
        platform = Platform(Doubles)
        platform.servers = ["server1", "server2"]
        self.assertEqual(do(lambda self: self.server.rpc["server2"].invoke("doubles", number_count=2), platform), {"doubled": 4})
        self.assertEqual(do(lambda self: self.invoke("doubles@server2", number_count=2), platform), {"doubled": 4})

        def all_of_them(self: Service) -> Any:
            answers = self.server.rpc.invoke_all("doubles", {"number_count": 1})
            return [answers.is_ok, len(answers.data), answers["server2"].data]

        self.assertEqual(do(all_of_them, platform), [True, 2, {"doubled": 2}])


class OrderError(Exception):
    """A failure that services of one file raise for each other."""


class NeedsMore(Exception):
    """A failure that can't be made of a message alone."""

    def __new__(cls, order: int, why: str) -> "NeedsMore":
        return super().__new__(cls, order, why)


class ExceptionsOfOthers(unittest.TestCase):
    def raised(self, error: Exception) -> Exception:
        platform = Platform()
        platform.services["crm"].answer(error)
        try:
            do(lambda self: self.invoke("crm"), platform)
        except Exception as raised:
            return raised
        raise AssertionError("nothing was raised")

    def test_are_of_the_class_that_was_raised(self) -> None:
        for error in (ValueError("no: number"), OrderError("late"), FileNotFoundError("gone"), UnicodeError("bytes")):
            with self.subTest(error):
                raised = self.raised(error)
                self.assertIsInstance(raised, type(error))
                self.assertIsInstance(raised, InvocationFailed)
                self.assertEqual((str(raised), type(raised).__name__), (str(error), type(error).__name__))

    def test_quotes_are_not_doubled(self) -> None:
        self.assertEqual(str(self.raised(KeyError("name"))), "'name'")

    def test_are_failures_where_the_class_is_not_known_or_needs_more(self) -> None:
        twice = [type("KnownTwice", (Exception,), {}) for _ in range(2)]
        for error in (twice[0]("which"), NeedsMore(7, "late")):
            name = type(error).__name__
            with self.subTest(name):
                self.assertIs(type(self.raised(error)), InvocationFailed)


class Connections(unittest.TestCase):
    def test_rest(self) -> None:
        platform = Platform()
        platform.rest["CRM"].answer(
            {"id": 7}, lambda call: {"got": call.data}, Answer({"no": 1}, status=404), TimeoutError("slow"), ConnectionError("refused")
        )
        self.assertEqual(do(lambda self: self.out.rest["CRM"].conn.get(self.cid, {"id": 7}, headers={"X-A": "1"}).data, platform), {"id": 7})
        call: RestCall = platform.rest["CRM"].calls[0]
        self.assertEqual((call.method, call.params, call.headers["x-a"], call.data), ("GET", {"id": 7}, "1", None))
        self.assertEqual(do(lambda self: self.rest["CRM"].post({"a": 1}).data, platform), {"got": {"a": 1}})
        self.assertEqual(do(lambda self: self.rest.CRM.get().status_code, platform), 404)
        for error in (HostTimeout, OutgoingError):
            with self.assertRaises(error):
                do(lambda self: self.rest.CRM.get(), platform)
        with self.assertRaisesRegex(OutgoingError, "there is no outgoing connection 'ERP'.*there are: CRM"):
            do(lambda self: self.rest.ERP.get(), platform)

    def test_rest_call_and_upload(self) -> None:
        platform = Platform()
        platform.rest["CRM"].answer({"name": "Anna"})
        self.assertEqual(do(lambda self: self.out.rest["CRM"].conn.rest_call(model=User, callback=lambda user: user.name), platform), "Anna")
        self.assertEqual(platform.rest["CRM"].calls[-1].method, "GET")
        do(lambda self: self.out.rest["CRM"].conn.upload(self.cid, "a,b", field_name="file", filename='x".csv').status_code, platform)
        sent = platform.rest["CRM"].calls[-1]
        self.assertTrue(sent.headers["content-type"].startswith("multipart/form-data; boundary="))
        self.assertIn(b'name="file"; filename="x\\".csv"', sent.body)

    def test_sql_with_rows_and_with_a_database(self) -> None:
        platform = Platform()
        platform.sql["Billing"].on("from users", [{"name": "Anna"}]).answer(3)
        self.assertEqual(do(lambda self: self.out.sql["Billing"].one("SELECT * FROM users").name, platform), "Anna")
        self.assertEqual(do(lambda self: self.out.sql["Billing"].execute("UPDATE x SET a = :a", {"a": 1}).rows_affected, platform), 3)
        self.assertEqual(platform.sql["Billing"].calls[-1].params, {"a": 1})
        database = sqlite3.connect(":memory:", check_same_thread=False)
        self.addCleanup(database.close)
        database.execute("CREATE TABLE users (name TEXT)")
        platform.sql["Real"].answer(database)

        def act(self: Service) -> Any:
            session = self.out.sql["Real"].session()
            changed = session.execute("INSERT INTO users VALUES (:name)", {"name": "Beat"}).rowcount
            session.commit()
            row = session.execute("SELECT name FROM users").fetchone()
            session.rollback()
            return [changed, row.name, session.execute("SELECT count(*) AS n FROM users").scalar()]

        self.assertEqual(do(act, platform), [1, "Beat", 1])

        def take_back(self: Service) -> Any:
            session = self.out.sql["Real"].session()
            session.execute("INSERT INTO users VALUES ('Chris')")
            session.rollback()

        with self.assertRaisesRegex(OutgoingError, "can't be rolled back"):
            do(take_back, platform)

    def test_sql_wants_as_many_rows_as_it_says(self) -> None:
        platform = Platform()
        platform.sql["Billing"].on("two", [{"n": 1}, {"n": 2}]).on("none", []).answer([{"n": 3}])
        self.assertEqual(do(lambda self: [row.n for row in self.out.sql["Billing"].execute("SELECT two")], platform), [1, 2])
        self.assertIsNone(do(lambda self: self.out.sql["Billing"].one_or_none("SELECT none"), platform))
        for query, method in (("SELECT two", "one"), ("SELECT two", "one_or_none"), ("SELECT none", "one")):
            with self.subTest(query, method=method), self.assertRaises(OutgoingError):
                do(lambda self, query=query, method=method: getattr(self.out.sql["Billing"], method)(query), platform)

        def act(self: Service) -> Any:
            row = self.out.sql["Billing"].session().execute("SELECT two").first()
            (number,) = row
            return [number, row[0], row["n"], row.n, dict(row), list(row.keys())]

        self.assertEqual(do(act, platform), [1, 1, 1, 1, {"n": 1}, ["n"]])

    def test_connections_are_neither_counted_nor_looked_for(self) -> None:
        for what in ("self.out.rest", "self.out.sql", "self.rest", "self.server.rpc"):
            with self.subTest(what):
                with self.assertRaises(TypeError):
                    do(lambda self, what=what: "CRM" in eval(what))
                with self.assertRaises(TypeError):
                    do(lambda self, what=what: list(eval(what)))

    def test_what_is_not_there_says_so(self) -> None:
        for name in ("email", "odb", "pubsub"):
            with self.subTest(name), self.assertRaisesRegex(AttributeError, f"self.{name} in Tenon"):
                do(lambda self, name=name: getattr(self, name))


class Caching(unittest.TestCase):
    def test_the_cache_in_full(self) -> None:
        def act(self: Service) -> Any:
            cache = self.cache.default
            found = [cache.get("a"), cache["a"], cache.set("a", {"n": 1}), cache.set("a", 2, expiry=10), cache["a"], "a" in cache]
            entry = cache.get("a", details=True)
            cache["pre.1"], cache["pre.2"], cache["other"] = 1, b"\xff", None
            found += [entry.expires_in, cache.get_by_prefix("pre.").get("pre.1"), cache.keys(), cache.get_contains_any(["re", "zz"], limit=1)]
            found += [cache.set_by_suffix(".1", 9), cache.delete_by_prefix("pre.1", return_found=True), cache.delete_not_contains("a")]
            found += [cache.delete("a"), cache.delete("a"), cache.get("a", "default"), len(cache)]
            return found

        expected = [None, None, None, {"n": 1}, 2, True, 10, 1, ["a", "other", "pre.1", "pre.2"], {"pre.1": 1}]
        self.assertEqual(do(act), [*expected, 1, {"pre.1": 9}, 2, 2, None, "default", 0])

    def test_what_ends_by_the_clock(self) -> None:
        platform = Platform()
        platform.cache.put("old", 1, expiry=5)
        self.assertEqual(do(lambda self: [self.cache.get("old"), self.cache.ttl("old"), self.cache.set("new", [1], ex=60)], platform), [1, 5, True])
        platform.clock.advance(minutes=1)
        self.assertEqual(do(lambda self: [self.cache.get("old"), self.cache.ttl("new"), self.cache.keys()], platform), [None, -2, []])

    def test_the_commands_of_the_default_cache(self) -> None:
        def act(self: Service) -> Any:
            cache = self.cache
            found = [
                cache.incr("n"),
                cache.incr("n", 5),
                cache.decr("n"),
                cache.set("n", 1, nx=True),
                cache.setnx("m", 1),
                cache.exists("n", "m", "x"),
            ]
            found += [cache.expire("n", 30), cache.ttl("n"), cache.ttl("m"), cache.keys("?"), cache.delete("n", "x"), cache.get("n")]
            named = cache.get_cache("builtin", "named")
            named["m"] = "own"
            return [*found, named["m"], cache.get("m")]

        self.assertEqual(do(act), [1, 6, 5, None, True, 2, True, 30, -1, ["m", "n"], 1, None, "own", 1])

    def test_in_an_async_service(self) -> None:
        async def act(self: Service) -> Any:
            cache = self.cache.default
            await cache.set("a.1", 1)
            await cache.set("a.2", 2)
            return [await cache["a.1"], await cache.get_not_contains("1"), await cache.contains_key("b"), await self.cache.delete("a.1", "a.2")]

        self.assertEqual(do(act, service=DoesAsync), [1, {"a.2": 2}, False, 2])

        async def sets(self: Service) -> Any:
            self.cache.default["a"] = 1

        with self.assertRaisesRegex(TypeError, "can't be awaited"):
            do(sets, service=DoesAsync)


class Locking(unittest.TestCase):
    def test_a_lock_is_held_and_given_back(self) -> None:
        platform = Platform()

        def act(self: Service) -> Any:
            with self.lock("orders") as lock:
                first, held = lock.token, platform.locks.is_held("orders")
            with self.lock("orders") as lock:
                return [held, lock.token > first, lock.renew(60)]

        self.assertEqual(do(act, platform), [True, True, True])
        self.assertFalse(platform.locks.is_held("orders"))

    def test_a_lock_that_somebody_holds(self) -> None:
        platform = Platform()
        platform.locks.hold("orders")
        with self.assertRaisesRegex(LockTimeout, "'orders' was not free within 2 seconds"):
            do(lambda self: self.lock("orders", block=2).__enter__(), platform)
        self.assertFalse(do(lambda self: self.lock("orders", block=0).acquire(), platform))
        platform.locks.let_go("orders")
        self.assertTrue(do(lambda self: self.lock("orders", block=0).acquire(), platform))
        self.assertFalse(platform.locks.is_held("orders"), "it ends with the call")

    def test_a_lock_that_cannot_be_given_back_does_not_hide_how_its_block_went(self) -> None:
        class TimeIsUp(Platform):
            def _serve_lock(self, request: Any, asked: Any, body: bytes, is_json: bool) -> Any:
                if asked["action"] == "release":
                    return refused(408, "Timeout", "the call's time is up")
                return super()._serve_lock(request, asked, body, is_json)

        def act(self: Service) -> Any:
            with self.lock("orders"):
                raise ValueError("of the block")

        with self.assertLogs("tenon.locks", "WARNING"), self.assertRaisesRegex(ValueError, "of the block"):
            do(act, TimeIsUp())
        with self.assertRaisesRegex(HostTimeout, "time is up"):
            do(lambda self: self.lock("orders").release(), TimeIsUp())

    def test_a_lock_ends_after_its_time(self) -> None:
        platform = Platform()

        def act(self: Service) -> Any:
            lock = self.lock(ttl=5)
            lock.acquire()
            self.sleep(6)
            return [lock.name, lock.renew(), lock.acquired]

        self.assertEqual(do(act, platform), ["does", False, False])

    def test_in_an_async_service(self) -> None:
        async def act(self: Service) -> Any:
            async with self.lock("orders", ttl=5) as lock:
                return lock.acquired

        self.assertTrue(do(act, service=DoesAsync))


class Others(ServiceTest):
    def test_jobs_run_when_their_time_has_come(self) -> None:
        self.platform.clock.set("2026-05-01T10:00:00Z")
        self.platform.services["report"].answer(None)

        def act(self: Service) -> Any:
            one = self.schedule.onetime(self, "report", name="later", after_minutes=5, data={"a": 1})
            return [one, self.schedule.onetime("report", prefix="weekly.", start_date="2026-05-01 10:01:00")]

        first, second = do(act, self.platform)
        self.assertEqual((first, second.startswith("weekly.")), ("later", True))
        self.assertEqual([str(job.at) for job in self.platform.jobs], ["2026-05-01 10:01:00+00:00", "2026-05-01 10:05:00+00:00"])
        self.platform.clock.advance(minutes=2)
        self.assertEqual([job.name for job in self.platform.run_due_jobs()], [second])
        self.platform.clock.advance(minutes=3)
        self.assertEqual([job.payload for job in self.platform.run_due_jobs()], [{"a": 1}])
        self.assertEqual(self.platform.services["report"].calls, [None, {"a": 1}])

    def test_configuration(self) -> None:
        self.platform.config["my-limits"] = {"orders": {"max": 5}}
        self.assertEqual(do(lambda self: [self.config.my_limits.orders.max, self.user_config["my-limits"]["orders"]["max"]], self.platform), [5, 5])
        with self.assertRaisesRegex(AttributeError, "no configuration file 'other'; there are: my-limits"):
            do(lambda self: self.config.other, self.platform)

    def test_time(self) -> None:
        self.platform.clock.set("2026-01-31T23:30:05.250000Z")

        def act(self: Service) -> Any:
            time = self.time
            return [
                time.utcnow(),
                time.utcnow("YYYY-MM-DD[T]HH:mm:ss.SSS ZZ"),
                time.today(tz="Europe/Zurich"),
                time.tomorrow("D.M.YY", tz="UTC"),
                time.yesterday(tz="UTC"),
                time.isoutcnow(),
                time.utcnow_as_float(),
                time.reformat("01.02.2026 04:05 PM", "DD.MM.YYYY hh:mm A", "YYYY-MM-DDTHH:mm"),
                time.reformat("5 March 2026", "D MMMM YYYY", "ddd DDD"),
                time.one_day_from("2026-02-28", "YYYY-MM-DD"),
                time.one_hour_from("2026-02-28T23:30:00Z"),
                time.now(needs_format=False, tz="America/New_York").hour,
            ]

        expected = ["2026-01-31 23:30:05", "2026-01-31T23:30:05.250 +00:00", "2026-02-01", "1.2.26", "2026-01-30", "2026-01-31T23:30:05.250000"]
        expected_too = [1769902205.25, "2026-02-01T16:05", "Thu 64", "2026-03-01", "2026-03-01T00:30:00+00:00", 18]
        self.assertEqual(do(act, self.platform), [*expected, *expected_too])
        with self.assertRaisesRegex(ValueError, "no time zone 'Nowhere'"):
            do(lambda self: self.time.now(tz="Nowhere"), self.platform)

    def test_crypto(self) -> None:
        def act(self: Service) -> Any:
            crypto = self.crypto
            hashed = crypto.hash_secret("secret")
            kept = [crypto.decrypt(crypto.encrypt("grüezi")), crypto.decrypt(crypto.encrypt(b"\xff"), as_bytes=True) == b"\xff"]
            kept += [crypto.verify_hash("secret", hashed), crypto.verify_hash("other", hashed), self.server.decrypt(self.server.encrypt("a"))]
            return [*kept, len({crypto.generate_secret() for _ in range(10)}), len(crypto.generate_password()) >= 24]

        self.assertEqual(do(act, self.platform), ["grüezi", True, True, False, "a", 10, True])

    def test_metrics(self) -> None:
        def act(self: Service) -> None:
            self.metrics.incr("orders", country="CH")
            self.metrics.incr("orders", 2, country="DE")
            self.metrics.push("queue", 7)
            self.metrics.push("queue", 5)
            with self.metrics.timer("import_seconds") as timer:
                pass
            self.metrics.timer_start("step_seconds")
            assert self.metrics.timer_stop("step_seconds") is not None and timer.seconds >= 0

        do(act, self.platform)
        metric = self.platform.metric
        self.assertEqual((metric("orders"), metric("orders", country="DE"), metric("queue"), metric("none")), (3, 2, 5, None))
        self.assertEqual({each["service"] for each in self.platform.metrics}, {"does"})
        with self.assertRaises(ValueError):
            do(lambda self: self.metrics.incr("orders", -1), self.platform)

    def test_commands(self) -> None:
        def act(self: Service) -> Any:
            result = self.commands.invoke(["sh", "-c", "cat; echo error >&2; exit 3"], stdin="grüezi", cwd="/tmp")
            shell = self.commands.invoke("echo $GREETING", env={"GREETING": "hello"})
            return [result.is_ok, result.exit_code, result.stdout, result.stderr, shell.stdout, shell.is_ok]

        self.assertEqual(do(act), [False, 3, "grüezi", "error\n", "hello\n", True])

    def test_statuses_of_the_platform_reach_the_caller(self) -> None:
        self.platform.services["other"].answer(Conflict("Exists"))
        Does.act = staticmethod(lambda self: self.invoke("other"))
        result = self.call(Does, method="POST")
        self.assertEqual((result.status, result.payload["detail"]), (409, "Exists"))


if __name__ == "__main__":
    unittest.main()
