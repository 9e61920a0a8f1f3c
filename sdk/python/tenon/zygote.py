"""Starts workers by forking: an interpreter that has imported what every worker needs, and does nothing but wait for orders.

An order is a line of JSON with four descriptors beside it: standard input, output and error of the worker, and its socket. The
answers are lines of JSON too: that it is ready, the process id of a worker that was started or why none was, and how one ended.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
from typing import Any, Dict, List, Optional, Tuple

from .worker import FD_VARIABLE

_ORDER_BYTES_MAX = 64 << 10
_DESCRIPTORS = 4


class Zygote:
    """Forks workers until the server closes the socket. Has one thread: of several, only one would be in the children."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._rest = b""
        self._descriptors: List[int] = []
        self._made_of = _installed()
        self._ended, self._ending = socket.socketpair()
        self._ended.setblocking(False)
        self._ending.setblocking(False)

    def wait(self) -> Optional[List[str]]:
        """Serves; comes back in each worker with the arguments that it is to have, and with none when the server is gone."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._ending.fileno(), warn_on_full_buffer=False)
        gc.collect()
        # The collector would write to pages that workers share.
        gc.freeze()
        problem = _problem()
        self._say({"problem": problem} if problem else {"ready": {}})
        while not problem:
            ready, _, _ = select.select([self._control, self._ended], [], [])
            if self._ended in ready:
                self._reap()
            if self._control in ready:
                order = self._order()
                if order is None:
                    self._end()
                    break
                arguments = self._fork(order)
                if arguments is not None:
                    return arguments
        return None

    def _end(self) -> None:
        """Waits for the workers that there are: they may go on for a while, and somebody has to take notice of their end."""
        with contextlib.suppress(ChildProcessError):
            while True:
                self._tell_ended(*os.wait())

    def _say(self, answer: Dict[str, Any]) -> None:
        # Without a server, the end of the socket is what is read next.
        with contextlib.suppress(ConnectionError):
            self._control.sendall(json.dumps(answer).encode() + b"\n")

    def _order(self) -> Optional[Dict[str, Any]]:
        """The next order, whose descriptors have come with it; nothing if the server has closed the socket."""
        while b"\n" not in self._rest:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._control, _ORDER_BYTES_MAX, _DESCRIPTORS)
            except ConnectionError:
                return None
            self._descriptors += descriptors
            if not data:
                return None
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        order: Dict[str, Any] = json.loads(line)
        return order

    def _fork(self, order: Dict[str, Any]) -> Optional[List[str]]:
        descriptors, self._descriptors = self._descriptors, []
        pid, problem = -1, ""
        try:
            if _installed() == self._made_of:
                pid = os.fork()
            else:
                problem = "the interpreter or its packages have changed"
        except OSError as error:
            problem = f"can't fork: {error}"
        if pid == 0:
            self._become_worker(order, descriptors)
            return list(order["arguments"])
        for descriptor in descriptors:
            os.close(descriptor)
        if problem:
            self._say({"problem": problem})
            return None
        # The worker does so too: whoever is first.
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        self._say({"started": pid})
        return None

    def _become_worker(self, order: Dict[str, Any], descriptors: List[int]) -> None:
        """Leaves behind what is the zygote's, and takes on what is the worker's."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for own in (self._control, self._ended, self._ending):
            own.close()
        os.setpgid(0, 0)
        *standard, worker_socket = descriptors
        for number, descriptor in enumerate(standard):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.chdir(order["directory"])
        os.environ.update(order["variables"])
        os.environ[FD_VARIABLE] = str(worker_socket)
        sys.argv[1:] = order["arguments"]

    def _reap(self) -> None:
        """Tells how workers ended."""
        with contextlib.suppress(BlockingIOError):
            while self._ended.recv(512):
                pass
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                self._tell_ended(pid, status)

    def _tell_ended(self, pid: int, status: int) -> None:
        self._say({"ended": [pid, status]})


def _installed() -> List[Tuple[str, int, int]]:
    """What tells that the interpreter was replaced, or that packages were installed or removed."""
    facts = []
    for path in (os.path.realpath(sys.executable), *sys.path[1:]):
        try:
            status = os.stat(path)
        except OSError:
            continue
        facts.append((path, status.st_ino, status.st_mtime_ns))
    return facts


def _problem() -> str:
    """Why workers can't be forked, if they can't."""
    try:
        threads = len(os.listdir("/proc/self/task"))
    except OSError:
        return ""
    return "" if threads == 1 else "something that the interpreter loads at its start has started threads"
