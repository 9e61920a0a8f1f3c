"""The process that forks workers, from the server's side of its socket."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from typing import Any, Dict, List, Tuple

import harness

SERVICES = """import os, signal, sys
from tenon import Service

class Facts(Service):
    name = "facts"
    def handle(self):
        return {"pid": os.getpid(), "group": os.getpgid(0), "directory": os.getcwd(), "variable": os.environ.get("OF_THE_WORKER"),
                "socket": os.environ.get("TENON_WORKER_FD"), "arguments": sys.argv[1:], "open": len(os.listdir("/proc/self/fd")),
                "child": signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL, "name": open("/proc/self/comm").read()}

class Prints(Service):
    name = "prints"
    def handle(self):
        os.write(1, b"to the output")
        os.write(2, b"to the errors")

class Exits(Service):
    name = "exits"
    def handle(self):
        os._exit(7)
"""


class Zygote:
    """A process that forks workers."""

    def __init__(self, *flags: str, **environment: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tenon-zygote-")
        self.root = os.path.join(self._folder.name, "services")
        os.mkdir(self.root)
        with open(os.path.join(self.root, "services.py"), "w", encoding="utf-8") as file:
            file.write(SERVICES)
        self.socket, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            [sys.executable, *flags, os.path.join(harness.SDK, "tenon_worker.py"), "--zygote"],
            env={**os.environ, "TENON_WORKER_FD": str(theirs.fileno()), **environment},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        self.socket.settimeout(harness.TIMEOUT_SECONDS)
        self._answers = self.socket.makefile("r", encoding="utf-8")
        self.ordered: List[Ordered] = []
        self.greeting = self.answer()

    def __enter__(self) -> "Zygote":
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()
        for worker in self.ordered:
            worker.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._answers.close()
        self.socket.close()
        self._folder.cleanup()

    def close(self) -> None:
        """Closes the server's end for orders, as a server that wants no more workers does."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def answer(self) -> Dict[str, Any]:
        line = self._answers.readline()
        assert line, "the zygote has ended"
        return json.loads(line)

    def order(self, text: str = "") -> "Ordered":
        return Ordered(self, text)


class Ordered:
    """A worker that was ordered, and the server's ends of what connects it."""

    def __init__(self, zygote: Zygote, split: str) -> None:
        self.owner, input_end, self.output, output, self.errors, errors = _pipes()
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(harness.TIMEOUT_SECONDS)
        order = {"arguments": ["--root", zygote.root], "directory": zygote.root, "variables": {"OF_THE_WORKER": "ä"}}
        text = json.dumps(order).encode() + b"\n"
        half = len(text) // 2 if split else len(text)
        socket.send_fds(zygote.socket, [text[:half]], [input_end, output, errors, theirs.fileno()])
        if split:
            time.sleep(0.05)
            zygote.socket.sendall(text[half:])
        for descriptor in (input_end, output, errors):
            os.close(descriptor)
        theirs.close()
        self.open = [self.owner, self.output, self.errors]
        zygote.ordered.append(self)
        self.answer = zygote.answer()

    def close(self) -> None:
        self.socket.close()
        for descriptor in self.open:
            os.close(descriptor)
        self.open = []

    def call(self, name: str) -> Dict[str, Any]:
        """Calls a service of a worker that has said hello."""
        protocol = harness.protocol
        data = b""
        hello: Dict[str, Any] = {}
        while True:
            decoded = protocol.decode(data, 0)
            if decoded is None:
                chunk = self.socket.recv(1 << 16)
                if not chunk:
                    return {}
                data += chunk
                continue
            frame, offset = decoded
            data = data[offset:]
            if frame.kind == protocol.HELLO:
                hello = json.loads(frame.body)
                index = [service["name"] for service in hello["services"]].index(name)
                tail = protocol.encode_request_tail(protocol.RequestTail(0, "cid", b"{}"))
                self.socket.sendall(protocol.encode(protocol.Frame(protocol.REQUEST, 0, index, 0, 1, tail)))
            elif frame.kind == protocol.REPLY:
                answer: Dict[str, Any] = json.loads(frame.body or b"null")
                return answer


def _pipes() -> Tuple[int, ...]:
    (input_end, owner), (output, output_end), (errors, errors_end) = (os.pipe() for _ in range(3))
    return owner, input_end, output, output_end, errors, errors_end


class Forking(unittest.TestCase):
    def test_a_worker_is_as_one_that_was_started_by_itself(self) -> None:
        with Zygote() as zygote:
            self.assertEqual(zygote.greeting, {"ready": {}})
            opened: List[int] = []
            for split in ("", "split"):
                worker = zygote.order(split)
                facts = worker.call("facts")
                pid = worker.answer["started"]
                self.assertEqual((facts["pid"], facts["group"]), (pid, pid))
                self.assertEqual((facts["directory"], facts["variable"], facts["socket"]), (os.path.realpath(zygote.root), "ä", None))
                self.assertEqual((facts["arguments"], facts["child"]), (["--root", zygote.root], True))
                self.assertEqual(facts["name"], "tenon-default\n")
                opened.append(facts["open"])
                worker.close()
                self.assertEqual(zygote.answer()["ended"][0], pid)
            self.assertEqual(opened[0], opened[1], "nothing of one order is left for the next one")

    def test_output_and_the_end_are_the_workers_own(self) -> None:
        with Zygote() as zygote:
            one, other = zygote.order(), zygote.order()
            one.call("prints")
            self.assertEqual((os.read(one.output, 99), os.read(one.errors, 99)), (b"to the output", b"to the errors"))
            self.assertEqual(other.call("exits"), {})
            self.assertEqual(zygote.answer(), {"ended": [other.answer["started"], 7 << 8]})
            one.close()
            other.close()
            self.assertEqual(zygote.answer()["ended"][0], one.answer["started"])

    def test_it_ends_after_its_workers_when_nobody_orders_any_more(self) -> None:
        with Zygote() as zygote:
            worker = zygote.order()
            zygote.close()
            self.assertEqual(worker.call("facts")["pid"], worker.answer["started"])
            worker.close()
            self.assertEqual(zygote.answer()["ended"][0], worker.answer["started"])
            self.assertEqual(zygote.process.wait(harness.TIMEOUT_SECONDS), 0)

    def test_workers_go_when_the_server_does(self) -> None:
        with Zygote() as zygote:
            worker = zygote.order()
            self.assertTrue(worker.call("facts"))
            zygote.close()
            os.close(worker.owner)
            worker.open.remove(worker.owner)
            self.assertEqual(zygote.answer(), {"ended": [worker.answer["started"], 0]})
            self.assertEqual(zygote.process.wait(harness.TIMEOUT_SECONDS), 0)

    def test_packages_that_change_need_a_new_one(self) -> None:
        with tempfile.TemporaryDirectory() as packages, Zygote(PYTHONPATH=packages) as zygote:
            zygote.order().close()
            with open(os.path.join(packages, "new.py"), "w", encoding="utf-8"):
                pass
            # The end of the first one may be told before.
            answers = [zygote.order().answer, zygote.answer()]
            self.assertIn({"problem": "the interpreter or its packages have changed"}, answers)

    def test_threads_of_the_interpreters_start_are_no_workers_threads(self) -> None:
        with tempfile.TemporaryDirectory() as packages:
            with open(os.path.join(packages, "sitecustomize.py"), "w", encoding="utf-8") as file:
                file.write("import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n")
            with Zygote(PYTHONPATH=packages) as zygote:
                self.assertIn("threads", zygote.greeting["problem"])
                self.assertEqual(zygote.process.wait(harness.TIMEOUT_SECONDS), 0)


if __name__ == "__main__":
    unittest.main()
