"""The worker process: reads its arguments, imports the services, says hello and runs what the server asks for."""

import faulthandler
import gc
import logging
import os
import signal
import socket
import stat
import sys
import threading
from itertools import zip_longest
from typing import Any, Dict, List, NamedTuple, NoReturn, Optional, Sequence

from . import logs, payloads, protocol
from .leader import Runtime
from .loading import Loader

FD_VARIABLE = "TENON_WORKER_FD"
EXIT_USAGE = 64


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Runs a worker until the server closes its socket."""
    if arguments is None:
        arguments = sys.argv[1:]
    if arguments == ["--zygote"]:
        from .zygote import Zygote

        order = Zygote(_socket()).wait()
        if order is None:
            return
        arguments = order
    options = _options(arguments)
    sock = _socket()
    _take_name(options.group)
    _watch_owner()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGUSR1"):
        # Shows what every thread does, without ending the process.
        faulthandler.register(signal.SIGUSR1, all_threads=True, chain=False)
    _let_go_in_children(sock)
    runtime = Runtime(sock, options.threads, options.body_limit)
    sink = logs.LogSink(runtime.log, runtime.wake_monitor)
    logs.install(sink)
    loader = Loader(options.root, options.import_timeout)
    loader.load()
    hello = payloads.dumps(_hello(loader, options))
    gc.collect()
    # What was imported is there to stay: the collector need not look at it again.
    gc.freeze()
    runtime.serve(loader.entries, hello, sink)


class Options(NamedTuple):
    """What a worker is told when it is started, as `--name value`."""

    root: str = ""
    """The directory with the service files."""
    group: str = "default"
    """The worker group."""
    threads: int = 64
    """How many synchronous handlers may run at once."""
    import_timeout: float = 0.0
    """How many seconds one file may take to import; 0 for no limit."""
    body_limit: int = protocol.BODY_LIMIT_BYTES
    """The largest answer in bytes."""


def _options(arguments: Sequence[str]) -> Options:
    # Python's own module for this takes as long as all the rest of a worker's start.
    given: Dict[str, Any] = {}
    for name, value in zip_longest(arguments[::2], arguments[1::2]):
        field = name[2:].replace("-", "_")
        kind = Options.__annotations__.get(field)
        if not name.startswith("--") or kind is None or value is None:
            _refuse(f"{name}: no such option, or without a value")
        try:
            given[field] = kind(value)
        except ValueError:
            _refuse(f"{name}: {value!r} is no {kind.__name__}")
    options = Options(**given)
    if not os.path.isdir(options.root):
        _refuse(f"--root: {options.root!r} is no directory")
    if options.threads < 1:
        _refuse("--threads: at least 1")
    return options


def _refuse(message: str) -> NoReturn:
    sys.stderr.write(f"tenon worker: {message}\n")
    raise SystemExit(EXIT_USAGE)


def _socket() -> socket.socket:
    value = os.environ.pop(FD_VARIABLE, "")
    try:
        fd = int(value)
        # Programs that a service starts must not hold the socket open.
        os.set_inheritable(fd, False)
        return socket.socket(fileno=fd)
    except (ValueError, OSError) as error:
        _refuse(f"{FD_VARIABLE} has to be the number of the socket to the server: {error}")


def _take_name(group: str) -> None:
    """Shows the group in lists of processes: the command line of a forked worker is that of the process that forked it."""
    try:
        with open("/proc/self/comm", "wb") as file:
            file.write(f"tenon-{group}".encode()[:15])
    except OSError:
        return


def _let_go_in_children(sock: socket.socket) -> None:
    """Closes the socket in processes that a service forks: they must not write to it, nor hold it open when the worker has ended."""

    def let_go() -> None:
        sock.close()
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        logging.getLogger().handlers[:] = [logging.StreamHandler()]

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=let_go)


def _watch_owner() -> None:
    """Ends the process when the server does: standard input is a pipe that it holds open."""
    try:
        mode = os.fstat(0).st_mode
        if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
            return
        owner = os.dup(0)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
    except OSError:
        return

    def watch() -> None:
        try:
            while os.read(owner, 512):
                pass
        finally:
            os._exit(0)

    threading.Thread(target=watch, name="tenon-owner", daemon=True).start()


def _hello(loader: Loader, options: Options) -> Dict[str, Any]:
    refused: List[Dict[str, Any]] = [loader.refused[path]._asdict() for path in sorted(loader.refused)]
    return {
        "protocol": protocol.VERSION,
        "pid": os.getpid(),
        "python": sys.version.split()[0],
        "group": options.group,
        "threads": options.threads,
        "services": [entry.describe() for entry in loader.entries],
        "refused": refused,
    }
