"""The worker process: threads, host calls, asyncio, cancel, drain, logs, and how it ends."""

import os
import random
import signal
import time
import unittest
from typing import Any, Dict

from harness import Worker, http

from tenon import protocol
from tenon.protocol import Frame

SERVICES = '''
import threading, time
from tenon import Cancelled, Service

gate = threading.Event()

class Quick(Service):
    name = "quick"

    def handle(self):
        return {"cid": self.cid}

class Sleeps(Service):
    name = "sleeps"

    def handle(self):
        time.sleep(self.request.payload)
        return {"thread": threading.get_ident()}

class Waits(Service):
    """Blocks until `opens` is called."""
    name = "waits"

    def handle(self):
        gate.wait(30)
        return {"done": True}

class Opens(Service):
    name = "opens"

    def handle(self):
        gate.set()

class Spins(Service):
    name = "spins"

    def handle(self):
        until = time.monotonic() + self.request.payload
        while time.monotonic() < until:
            pass
        return {"spun": True}

class Blocking(Sleeps):
    name = "blocking"
    blocking = True

class Asks(Service):
    name = "asks"

    def handle(self):
        return {"got": self.invoke("other", self.request.payload)}

class AsksTwice(Service):
    name = "asks-twice"

    def handle(self):
        first = self.invoke("other", 1)
        time.sleep(0.01)
        return {"got": [first, self.invoke("other", 2)]}

class Processors(Service):
    """Which processors a service, and what it starts, may run on before and after a host call."""
    name = "processors"

    def handle(self):
        import os
        before = sorted(os.sched_getaffinity(0))
        self.invoke("other", 1)
        return {"may": [before, sorted(os.sched_getaffinity(0))]}

class AsksFromThreads(Service):
    name = "asks-from-threads"

    def handle(self):
        got = []
        threads = [threading.Thread(target=lambda n=n: got.append(self.invoke("other", n))) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {"got": sorted(got)}

class AsksThenWaits(Service):
    name = "asks-then-waits"

    def handle(self):
        self.invoke("slow")
        gate.wait(60)

class Opens(Service):
    name = "opens"

    def handle(self):
        gate.set()

class Notices(Service):
    name = "notices"

    def handle(self):
        try:
            self.invoke("never")
        except Cancelled:
            self.logger.info("noticed")
            raise

class Loops(Service):
    """Notices that it is cancelled only when it asks the platform for something."""
    name = "loops"

    def handle(self):
        gate.wait(30)
        self.invoke("other", 1)

class Large(Service):
    name = "large"

    def handle(self):
        return {"size": len(self.request.payload["text"]), "text": "y" * self.request.payload["answer"]}

class Async(Service):
    name = "async"

    async def handle(self):
        import asyncio
        first, second = await asyncio.gather(self.invoke("other", 1), self.invoke("other", 2))
        await asyncio.sleep(self.request.payload or 0)
        return {"got": [first, second], "cid": self.cid}

class AsyncRaises(Service):
    name = "async-raises"

    async def handle(self):
        raise ValueError("async")

class AsyncForever(Service):
    name = "async-forever"

    async def handle(self):
        import asyncio
        try:
            await asyncio.sleep(60)
        finally:
            self.logger.info("cleaned up")

class Prints(Service):
    name = "prints"

    def handle(self):
        print("one\\ntwo", end="")
        print("x" * 20_000)
        import sys
        sys.stderr.write("error\\n")
        self.logger.warning("a %s line", "logged")
        self.logger.debug("not shown")
        try:
            1 / 0
        except ZeroDivisionError:
            self.logger.exception("divided")
        self.logger.info("wrong %s %s arguments", 1)

class Floods(Service):
    name = "floods"

    def handle(self):
        began = time.monotonic()
        for number in range(50_000):
            print("line", number)
        print("z" * 50_000_000)
        return {"seconds": time.monotonic() - began}

class Forks(Service):
    name = "forks"

    def handle(self):
        import multiprocessing
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        child = context.Process(target=in_child, args=(queue,))
        child.start()
        got = queue.get(timeout=20)
        child.join(20)
        return {"got": got, "exit": child.exitcode}

def in_child(queue):
    import logging
    print("printed by the child")
    logging.getLogger("child").warning("logged by the child")
    queue.put("from the child")

class Exits(Service):
    name = "exits"

    def handle(self):
        import os
        os._exit(7)
'''


def host(frame: Frame, asked: Dict[str, Any]) -> Any:
    """Answers invoked services with what they were given; one never."""
    if asked["service"] == "never":
        return None
    if asked["service"] == "slow":
        time.sleep(0.2)
    return Frame(0, tail=b'{"is_json":true}', body=frame.body)


class Threads(unittest.TestCase):
    def test_blocking_handlers_run_side_by_side_and_quick_ones_are_not_held_up(self) -> None:
        with Worker({"api.py": SERVICES}, threads=8) as worker:
            blocked = [worker.begin("waits") for _ in range(7)]
            for _ in range(50):
                self.assertEqual(worker.call("quick").json(), {"cid": "cid-1"})
            self.assertFalse(any(worker.has_reply(id) for id in blocked))
            worker.call("opens")
            for id in blocked:
                self.assertEqual(worker.reply(id).json(), {"done": True})

    def test_the_worker_goes_on_reading_when_all_threads_are_busy(self) -> None:
        for threads in (1, 2):
            with self.subTest(threads=threads), Worker({"api.py": SERVICES}, threads=threads) as worker:
                slow = [worker.begin("sleeps", 2.0) for _ in range(threads)]
                late = [worker.begin("quick", cid=f"late-{number}") for number in range(20)]
                self.assertLess(worker.ping(1), 1.8)
                cancelled = late.pop()
                worker.send(Frame(protocol.CANCEL, id=cancelled))
                self.assertEqual(worker.reply(cancelled).status, 499)
                for id in slow:
                    self.assertEqual(worker.reply(id).status, 200)
                self.assertEqual([worker.reply(id).json()["cid"] for id in late], [f"late-{number}" for number in range(19)])
                # A thread leads again, and runs what it reads.
                self.assertEqual(worker.call("quick").status, 200)

    def test_a_handler_that_computes_does_not_stop_others(self) -> None:
        with Worker({"api.py": SERVICES}) as worker:
            spinning = worker.begin("spins", 4.0)
            began = time.monotonic()
            self.assertEqual(worker.call("quick").status, 200)
            worker.ping(1)
            self.assertLess(time.monotonic() - began, 3.5)
            self.assertEqual(worker.reply(spinning).json(), {"spun": True})

    def test_services_that_block_get_threads_of_their_own(self) -> None:
        with Worker({"api.py": SERVICES}, threads=32) as worker:
            for service in ("sleeps", "blocking"):
                began = time.monotonic()
                ids = [worker.begin(service, 0.1) for _ in range(96)]
                threads = {worker.reply(id).json()["thread"] for id in ids}
                # One after the other they would take 9.6 seconds.
                self.assertLess(time.monotonic() - began, 6.0)
                self.assertGreater(len(threads), 8)

    def test_what_was_answered_is_sent_before_another_service_begins(self) -> None:
        with Worker({"api.py": SERVICES}) as worker:
            *quick, _ = worker.begin_together(("quick", None), ("quick", None), ("exits", None))
            self.assertEqual([worker.reply(id).status for id in quick], [200, 200])
            self.assertEqual(worker.wait_for_exit(), 7)

    def test_an_answer_does_not_wait_for_the_next_call_of_its_service(self) -> None:
        with Worker({"api.py": SERVICES}) as worker:
            for service in ("sleeps", "spins"):
                short, long = worker.begin_together((service, 0), (service, 4.0))
                self.assertEqual(worker.reply(short).status, 200)
                self.assertFalse(worker.has_reply(long))

    def test_many_services_mixed(self) -> None:
        with Worker({"api.py": SERVICES}, threads=4, host=host) as worker:
            ids = []
            for number in range(300):
                kind = number % 5
                if kind == 0:
                    ids.append((worker.begin("sleeps", 0.005), None))
                elif kind == 1:
                    ids.append((worker.begin("asks", {"n": number}), {"got": {"n": number}}))
                elif kind == 2:
                    ids.append((worker.begin("asks-twice"), {"got": [1, 2]}))
                elif kind == 3:
                    ids.append((worker.begin("async", cid=f"c{number}"), {"got": [1, 2], "cid": f"c{number}"}))
                else:
                    ids.append((worker.begin("quick", cid=f"c{number}"), {"cid": f"c{number}"}))
            for id, expected in ids:
                reply = worker.reply(id)
                self.assertEqual(reply.status, 200, reply.body)
                if expected is not None:
                    self.assertEqual(reply.json(), expected)

    def test_every_request_is_answered_once_whatever_is_cancelled(self) -> None:
        with Worker({"api.py": SERVICES}, threads=3, host=host) as worker:
            kinds = {"quick": None, "sleeps": 0.004, "spins": 0.003, "asks": 1, "asks-twice": None, "async": 0.001, "prints": None}
            chosen = random.Random(5)
            open_ids = []
            for number in range(600):
                service = chosen.choice(list(kinds))
                open_ids.append(worker.begin(service, kinds[service]))
                if number % 7 == 0:
                    worker.send(Frame(protocol.CANCEL, id=chosen.choice(open_ids)))
                while len(open_ids) > 40:
                    self.assertIn(worker.reply(open_ids.pop(0)).status, (200, 499))
            for id in open_ids:
                self.assertIn(worker.reply(id).status, (200, 499))
            worker.send(Frame(protocol.DRAIN))
            self.assertEqual(worker.wait_for_exit(), 0)

    def test_large_bodies_both_ways(self) -> None:
        with Worker({"api.py": SERVICES}) as worker:
            for size in (10, 65_500, 65_536, 70_000, 5_000_000):
                ids = [worker.begin("large", {"text": "x" * size, "answer": size}) for _ in range(3)]
                for id in ids:
                    self.assertEqual(worker.reply(id).json(), {"size": size, "text": "y" * size})
            self.assertEqual(worker.call("quick").status, 200)

    def test_an_answer_beyond_the_limit_is_an_error(self) -> None:
        with Worker({"api.py": SERVICES}, arguments=["--body-limit", "1000"]) as worker:
            reply = worker.call("large", {"text": "", "answer": 2000})
            self.assertEqual((reply.status, reply.is_error, reply.json()["type"]), (500, True, "AnswerTooLarge"))
            self.assertEqual(worker.call("large", {"text": "", "answer": 10}).status, 200)


class HostCalls(unittest.TestCase):
    def test_requests_are_served_while_another_waits_for_the_platform(self) -> None:
        with Worker({"api.py": SERVICES}, threads=4, host=host) as worker:
            waiting = [worker.begin("notices") for _ in range(3)]
            for _ in range(20):
                self.assertEqual(worker.call("asks", {"a": 1}).json(), {"got": {"a": 1}})
            self.assertFalse(any(worker.has_reply(id) for id in waiting))
            for id in waiting:
                worker.send(Frame(protocol.CANCEL, id=id))
                self.assertEqual(worker.reply(id).status, 499)
            self.assertEqual(worker.log_lines("notices"), ["noticed"] * 3)

    def test_a_service_that_blocks_after_a_slow_answer_does_not_hold_up_others(self) -> None:
        with Worker({"api.py": SERVICES}, threads=4, host=host) as worker:
            id = worker.begin("asks-then-waits")
            time.sleep(0.5)
            self.assertEqual(worker.call("opens").status, 200)
            self.assertEqual(worker.reply(id).status, 200)

    @unittest.skipUnless(hasattr(os, "sched_getaffinity"), "the system does not bind threads to processors")
    def test_services_run_on_all_processors_whichever_thread_they_wait_in(self) -> None:
        allowed = sorted(os.sched_getaffinity(0))
        with Worker({"api.py": SERVICES}, threads=16, host=host) as worker:
            for _ in range(10):
                ids = worker.begin_together(*[("processors", None)] * 12)
                self.assertEqual([worker.reply(id).json() for id in ids], [{"may": [allowed, allowed]}] * 12)

    def test_every_thread_of_a_service_may_ask(self) -> None:
        with Worker({"api.py": SERVICES}, host=host) as worker:
            self.assertEqual(worker.call("asks-from-threads").json(), {"got": [0, 1, 2]})

    def test_a_cancelled_service_ends_at_its_next_host_call(self) -> None:
        with Worker({"api.py": SERVICES}, host=host) as worker:
            id = worker.begin("loops")
            worker.call("quick")
            worker.send(Frame(protocol.CANCEL, id=id))
            worker.ping(1)
            worker.call("opens")
            self.assertEqual(worker.reply(id).status, 499)


class Async(unittest.TestCase):
    def test_async_services_run_side_by_side_and_ask_the_platform(self) -> None:
        with Worker({"api.py": SERVICES}, threads=1, host=host) as worker:
            services = {each["name"]: each["is_async"] for each in worker.hello["services"]}
            self.assertTrue(services["async"])
            self.assertFalse(services["quick"])
            began = time.monotonic()
            ids = [worker.begin("async", 0.2, cid=f"c{number}") for number in range(50)]
            for number, id in enumerate(ids):
                self.assertEqual(worker.reply(id).json(), {"got": [1, 2], "cid": f"c{number}"})
            # One after the other they would take 10 seconds.
            self.assertLess(time.monotonic() - began, 6.0)

    def test_exceptions_and_cancel(self) -> None:
        with Worker({"api.py": SERVICES}) as worker:
            self.assertEqual(worker.call("async-raises").json()["message"], "async")
            id = worker.begin("async-forever", cid="gone")
            worker.call("async-raises")
            worker.send(Frame(protocol.CANCEL, id=id))
            self.assertEqual(worker.reply(id).status, 499)
            self.assertEqual([each["cid"] for each in worker.logs if each["message"] == "cleaned up"], ["gone"])

    def test_a_service_that_is_cancelled_before_it_begins_is_answered(self) -> None:
        with Worker({"api.py": SERVICES}) as worker:
            for _ in range(50):
                id = worker.begin("async-forever")
                worker.send(Frame(protocol.CANCEL, id=id))
                self.assertEqual(worker.reply(id).status, 499)


class Deadlines(unittest.TestCase):
    def test_a_request_that_is_late_is_not_run(self) -> None:
        with Worker({"api.py": SERVICES}) as worker:
            self.assertEqual(worker.call("quick", deadline_ns=time.monotonic_ns() - 1).status, 504)
            self.assertEqual(worker.call("quick", deadline_ns=time.monotonic_ns() + 10**10).status, 200)


class Logs(unittest.TestCase):
    def test_prints_and_log_lines_carry_the_correlation_id(self) -> None:
        with Worker({"api.py": SERVICES}) as worker:
            worker.call("prints", cid="the-cid")
            self.assertTrue(all((each["cid"], each["service"]) == ("the-cid", "prints") for each in worker.logs))
            printed = worker.log_lines("stdout")
            self.assertEqual(printed[0], "one")
            self.assertTrue(printed[1].startswith("twoxxxx"))
            self.assertLess(len(printed[1]), 8300)
            self.assertEqual(worker.log_lines("stderr"), ["error"])
            logged = worker.log_lines("prints")
            self.assertEqual(logged[0], "a logged line")
            self.assertIn("ZeroDivisionError", logged[1])
            self.assertIn("a log line can't be written", logged[2])
            self.assertEqual(len(logged), 3)

    def test_forked_processes_leave_the_socket_alone(self) -> None:
        with Worker({"api.py": SERVICES}) as worker:
            for _ in range(3):
                self.assertEqual(worker.call("forks").json(), {"got": "from the child", "exit": 0})
            self.assertEqual([each for each in worker.logs if "by the child" in each["message"]], [])

    def test_printing_megabytes_neither_blocks_nor_floods(self) -> None:
        with Worker({"api.py": SERVICES}) as worker:
            reply = worker.call("floods")
            self.assertLess(reply.json()["seconds"], 25)
            self.assertLess(len(worker.logs), 30_000)
            worker.wait(lambda: any("lines (" in line and "were dropped" in line for line in worker.log_lines("stdout")))
            self.assertEqual(worker.call("quick").status, 200)


class Ends(unittest.TestCase):
    def test_drain_finishes_what_runs_and_exits(self) -> None:
        with Worker({"api.py": SERVICES}, host=host) as worker:
            ids = [worker.begin("sleeps", 0.2), worker.begin("async", 0.2), worker.begin("asks", 1)]
            worker.send(Frame(protocol.DRAIN))
            refused = worker.begin("quick")
            for id in ids:
                self.assertEqual(worker.reply(id).status, 200)
            self.assertEqual(worker.reply(refused).status, 503)
            self.assertEqual(worker.wait_for_exit(), 0)

    def test_drain_of_an_idle_worker(self) -> None:
        with Worker({"api.py": SERVICES}) as worker:
            worker.send(Frame(protocol.DRAIN))
            self.assertEqual(worker.wait_for_exit(), 0)

    def test_a_closed_socket_ends_it_even_in_a_handler(self) -> None:
        for service in ("sleeps", "asks"):
            with Worker({"api.py": SERVICES}, host=lambda frame, asked: None) as worker:
                worker.begin(service, 30)
                worker.ping(1)
                worker.disconnect()
                self.assertEqual(worker.wait_for_exit(), 0)

    def test_the_end_of_standard_input_ends_it(self) -> None:
        with Worker({"api.py": SERVICES}) as worker:
            worker.begin("spins", 30)
            assert worker.process.stdin is not None
            worker.process.stdin.close()
            self.assertEqual(worker.wait_for_exit(), 0)

    def test_a_service_that_ends_the_process(self) -> None:
        with Worker({"api.py": SERVICES}) as worker:
            worker.begin("exits")
            self.assertEqual(worker.wait_for_exit(), 7)

    def test_nonsense_from_the_server_ends_it(self) -> None:
        with Worker({"api.py": SERVICES}) as worker:
            worker.send_bytes(b"\xff" * 24)
            self.assertEqual(worker.wait_for_exit(), 76)

    def test_interrupts_of_a_terminal_are_ignored_and_stacks_can_be_seen(self) -> None:
        with Worker({"api.py": SERVICES}) as worker:
            worker.process.send_signal(signal.SIGINT)
            worker.process.send_signal(signal.SIGUSR1)
            self.assertEqual(worker.call("quick").status, 200)
            assert worker.process.stderr is not None
            self.assertIn(b"leader.py", os.read(worker.process.stderr.fileno(), 65536))


class Loading(unittest.TestCase):
    def names(self, worker: Worker) -> Any:
        return [each["name"] for each in worker.hello["services"]]

    def refused(self, worker: Worker) -> Any:
        return {each["path"]: each for each in worker.hello["refused"]}

    def test_names_packages_helpers_and_bases(self) -> None:
        files = {
            "my_api.py": "from tenon import Service\nclass GetUser(Service):\n    def handle(self): pass\nclass HTTPProxy2(Service):\n    def handle_GET(self): pass\n",
            "pkg/orders.py": "from helper import Base\nimport pkg.prices\nclass NewOrder(Base):\n    def handle(self): return {'price': pkg.prices.PRICE}\n",
            "pkg/prices.py": "PRICE = 5\n",
            "helper.py": "from tenon import Service\nclass Base(Service):\n    def help(self): pass\n",
            "with-dash.py": "from zato.server.service import Service\nclass A(Service):\n    name = 'dashed'\n    def handle(self): pass\n",
            "email.py": "import email.message\nfrom tenon import Service\nclass Sent(Service):\n    def handle(self): return {'file': email.message.__name__}\n",
            ".hidden/x.py": "raise ValueError\n",
            "notes.txt": "no code",
        }
        with Worker(files) as worker:
            self.assertEqual(self.refused(worker), {})
            self.assertEqual(self.names(worker), ["email.sent", "my-api.get-user", "my-api.http-proxy2", "pkg.orders.new-order", "dashed"])
            self.assertEqual(worker.call("pkg.orders.new-order").json(), {"price": 5})
            self.assertEqual(worker.call("email.sent").json(), {"file": "email.message"})

    def test_files_that_never_end_to_import_are_refused_and_the_others_serve(self) -> None:
        files = {
            "a_needs_it.py": "import b_sleeps\n",
            "b_sleeps.py": "import time\ntry:\n    time.sleep(3600)\nexcept Exception:\n    pass\n",
            "c_loops.py": "while True:\n    pass\n",
            "d_good.py": "from tenon import Service\nclass Good(Service):\n    name = 'good'\n    def handle(self): return {}\n",
        }
        with Worker(files, arguments=["--import-timeout", "0.5"]) as worker:
            refused = self.refused(worker)
            self.assertEqual(self.names(worker), ["good"])
            self.assertEqual(sorted(refused), ["a_needs_it.py", "b_sleeps.py", "c_loops.py"])
            self.assertEqual(refused["b_sleeps.py"]["error"], "b_sleeps.py does not end to import within 0.5 seconds")
            self.assertIn("c_loops.py", refused["c_loops.py"]["error"])
            # The alarm clock belongs to the services again.
            self.assertEqual(worker.call("good").status, 200)

    def test_files_that_do_not_import_are_refused_and_the_others_serve(self) -> None:
        files = {
            "a_syntax.py": "def broken(:\n",
            "b_raises.py": "import nothing_of_this_name\n",
            "c_exits.py": "import sys\nprint('before the end')\nsys.exit(3)\n",
            "d_good.py": "from tenon import Service\nclass Good(Service):\n    name = 'good'\n    def handle(self): return {}\n",
            "e_same.py": "from tenon import Service\nclass Same(Service):\n    name = 'good'\n    def handle(self): return {}\n",
            "f_name.py": "from tenon import Service\nclass Named(Service):\n    name = 'a b'\n    def handle(self): return {}\n",
            "g_input.py": "from tenon import Service\nclass Declares(Service):\n    input = 5\n    def handle(self): return {}\n",
            "h_twice.py": "from tenon import Service\nclass A(Service):\n    name = 'twice'\n    def handle(self): pass\nclass B(A):\n    name = 'twice'\n",
        }
        with Worker(files) as worker:
            refused = self.refused(worker)
            self.assertEqual(self.names(worker), ["good"])
            self.assertEqual(worker.call("good").json(), {})
            self.assertEqual(sorted(refused), sorted(set(files) - {"d_good.py"}))
            self.assertIn("SyntaxError", refused["a_syntax.py"]["error"])
            self.assertIn("a_syntax.py", refused["a_syntax.py"]["traceback"])
            self.assertEqual(refused["b_raises.py"]["error"], "ModuleNotFoundError: No module named 'nothing_of_this_name'")
            self.assertNotIn("importlib", refused["b_raises.py"]["traceback"])
            self.assertIn("ends the process", refused["c_exits.py"]["error"])
            self.assertEqual(refused["e_same.py"]["error"], "service 'good' of class Same exists already, as class Good in d_good.py")
            self.assertIn("without spaces", refused["f_name.py"]["error"])
            self.assertIn("class Declares", refused["g_input.py"]["error"])
            self.assertIn("in the same file", refused["h_twice.py"]["error"])
            self.assertFalse(any(each["kept_previous"] for each in refused.values()))
            self.assertEqual(worker.log_lines("stdout"), ["before the end"])

    def test_previous_versions_serve_in_place_of_refused_files(self) -> None:
        files = {
            "a_service.py": "import z_helper\nfrom tenon import Service\nclass A(Service):\n    name = 'a'\n    def handle(self): return {'v': z_helper.V}\n",
            "b_service.py": "syntax error",
            ".previous/b_service.py": "from tenon import Service\nclass B(Service):\n    name = 'b'\n    def handle(self): return {'v': 'old'}\n",
            "c_service.py": "from tenon import Service\nclass C(Service):\n    name = 'a'\n    def handle(self): pass\n",
            ".previous/c_service.py": "from tenon import Service\nclass C(Service):\n    name = 'c'\n    def handle(self): return {'v': 'old'}\n",
            "d_service.py": "1 / 0",
            ".previous/d_service.py": "2 / 0",
            "z_helper.py": "V = 'new'\nraise ValueError('half-way')\n",
            ".previous/z_helper.py": "V = 'old'\n",
            ".previous/gone.py": "1 / 0",
        }
        with Worker(files) as worker:
            self.assertEqual(self.names(worker), ["a", "b", "c"])
            for name in ("a", "b", "c"):
                self.assertEqual(worker.call(name).json(), {"v": "old"})
            kept = {path: each["kept_previous"] for path, each in self.refused(worker).items()}
            self.assertEqual(kept, {"b_service.py": True, "c_service.py": True, "d_service.py": False, "z_helper.py": True})

    def test_wrong_arguments_end_with_a_line_and_a_code(self) -> None:
        with Worker({}, arguments=["--threads", "0"]) as worker:
            self.assertEqual(worker.wait_for_exit(), 64)
            assert worker.process.stderr is not None
            self.assertEqual(worker.process.stderr.read(), b"tenon worker: --threads: at least 1\n")

    def test_a_root_without_files(self) -> None:
        with Worker({}) as worker:
            self.assertEqual((self.names(worker), worker.hello["refused"]), ([], []))
            worker.ping(1)


class OverHttp(unittest.TestCase):
    def test_a_request_in_pieces(self) -> None:
        with Worker({"api.py": SERVICES}) as worker:
            tail = protocol.encode_request_tail(protocol.RequestTail(0, "piece", b"{}"))
            data = protocol.encode(Frame(protocol.REQUEST, 0, worker.index("quick"), 0, 1 << 40, tail))
            for at in range(len(data)):
                worker.send_bytes(data[at : at + 1])
            self.assertEqual(worker.reply(1 << 40).json(), {"cid": "piece"})
            self.assertEqual(worker.call("quick", **http()).status, 200)


if __name__ == "__main__":
    unittest.main()
