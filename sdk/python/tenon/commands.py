"""Commands of the operating system, run by the worker."""

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Union

from .errors import Cancelled
from .host import Steps, run_steps

TIMEOUT_SECONDS = 600.0
"""How long a command may take if its caller does not say."""
OUTPUT_LIMIT_BYTES = 16 << 20
"""How much of what a command writes is kept, of each of its two outputs; the rest is read and dropped."""
_PIECE_BYTES = 64 << 10

Command = Union[str, Sequence[str]]
"""A text is run by the shell; a list is a program with its arguments."""


class CommandResult:
    """How a command ended, or, for one that runs in the background, how it is going."""

    def __init__(self, cid: str, command: str, stdin: str, timeout: float, encoding: str, is_async: bool) -> None:
        self.cid = cid
        self.command = command
        self.stdin = stdin
        self.timeout = timeout
        self.encoding = encoding
        self.is_async = is_async
        self.is_ok: Optional[bool] = None
        """Whether it ended by itself with exit code 0; None while it runs."""
        self.exit_code = -1
        """What it ended with; the negative number of a signal that ended it."""
        self.is_timeout = False
        self.timeout_msg = ""
        self.stdout = ""
        self.stderr = ""
        self.len_stdout_bytes = 0
        self.len_stderr_bytes = 0
        self.start_time = datetime.now(timezone.utc)
        self.end_time: Optional[datetime] = None
        self.total_time_sec = 0.0

    @property
    def start_time_iso(self) -> str:
        """When it began."""
        return self.start_time.isoformat()

    @property
    def end_time_iso(self) -> str:
        """When it ended; empty while it runs."""
        return self.end_time.isoformat() if self.end_time is not None else ""

    @property
    def total_time(self) -> str:
        """How long it took, in words."""
        return f"{self.total_time_sec:.3f} seconds"

    def __bool__(self) -> bool:
        return bool(self.is_ok)

    def to_dict(self) -> Dict[str, Any]:
        """All of it, as JSON can have it."""
        fields = {name: value for name, value in vars(self).items() if name not in ("start_time", "end_time")}
        return {**fields, "start_time_iso": self.start_time_iso, "end_time_iso": self.end_time_iso, "total_time": self.total_time}


class _Output(threading.Thread):
    """Reads what a command writes, so that it never waits for its reader, and keeps the beginning."""

    def __init__(self, stream: Any) -> None:
        super().__init__(name="tenon-command", daemon=True)
        self._stream = stream
        self.kept = bytearray()
        self.size = 0
        self.start()

    def run(self) -> None:
        with suppress(OSError, ValueError), self._stream:
            for piece in iter(lambda: self._stream.read1(_PIECE_BYTES), b""):
                self.size += len(piece)
                self.kept += piece[: max(0, OUTPUT_LIMIT_BYTES - len(self.kept))]


class _Running:
    """A command that runs. As what a request waits for, it is told when the request is cancelled."""

    def __init__(self, command: Command, stdin: bytes, cwd: Optional[str], env: Optional[Mapping[str, str]]) -> None:
        self.cancelled = False
        self._process = subprocess.Popen(
            command,
            shell=isinstance(command, str),
            cwd=cwd,
            env=None if env is None else {**os.environ, **env},
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A group of its own, so that what the command starts ends with it.
            start_new_session=True,
        )
        self._outputs = [_Output(self._process.stdout), _Output(self._process.stderr)]
        if stdin:
            threading.Thread(target=self._feed, args=(stdin,), name="tenon-command", daemon=True).start()

    def _feed(self, stdin: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(stdin)
            self._process.stdin.close()
        except OSError:
            # The command did not want it all.
            pass

    def cancel(self) -> None:
        self.cancelled = True
        self.kill()

    def kill(self) -> None:
        """Ends the command and all that it started."""
        # Once it was waited for, its number may be that of another process.
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def wait(self, timeout: float, result: CommandResult, replace_char: str) -> None:
        """Waits for its end, until the time is up at most."""
        began = time.monotonic()
        if not self._ends_by(began + timeout):
            result.is_timeout = True
            result.timeout_msg = f"the command was ended after its time limit of {timeout:g} seconds"
            self.kill()
            # What it started may have left its group, and hold the outputs open.
            for output in self._outputs:
                output.join(1.0)
        result.exit_code = int(self._process.wait())
        stdout, stderr = self._outputs
        result.len_stdout_bytes, result.len_stderr_bytes = stdout.size, stderr.size
        result.stdout = bytes(stdout.kept).decode(result.encoding, "replace").replace("\ufffd", replace_char)
        result.stderr = bytes(stderr.kept).decode(result.encoding, "replace").replace("\ufffd", replace_char)
        result.total_time_sec = time.monotonic() - began
        result.end_time = datetime.now(timezone.utc)
        result.is_ok = result.exit_code == 0 and not result.is_timeout

    def _ends_by(self, deadline: float) -> bool:
        """Whether both outputs were closed and the command ended in time."""
        for output in self._outputs:
            output.join(max(0.0, deadline - time.monotonic()))
            if output.is_alive():
                return False
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return True


class Commands:
    """`self.commands`. A command that is ended, with all that it started, is one whose time is up or whose call is cancelled."""

    def __init__(self, service: Any) -> None:
        self._service = service

    def invoke(
        self,
        command: Command,
        *,
        cid: str = "",
        timeout: float = TIMEOUT_SECONDS,
        cwd: Optional[str] = None,
        env: Optional[Mapping[str, str]] = None,
        stdin: Union[str, bytes] = "",
        callback: Any = None,
        encoding: str = "utf-8",
        replace_char: str = "\ufffd",
    ) -> Any:
        """Runs a command and gives how it ended. Its time is that of the call if that is shorter.

        A text is run by the shell; a list, a program with its arguments, is not, which is safer with what comes from outside.
        `env` is added to the environment. `callback` is called, or if it is a service invoked, with the result.
        """
        request = self._service.request
        limit = _limited(request, timeout)
        result = CommandResult(cid or request.cid, _shown(command), _as_text(stdin), limit, encoding, is_async=False)

        def begin() -> _Running:
            return _Running(command, _as_bytes(stdin, encoding), cwd, env)

        def end(running: _Running) -> CommandResult:
            running.wait(limit, result, replace_char)
            return result

        return run_steps(request, self._steps(begin, end, callback))

    def _steps(self, begin: Callable[[], _Running], end: Callable[[_Running], CommandResult], callback: Any) -> Steps:
        is_async = self._service.request._task is not None
        result: CommandResult = yield (self._run_as_task if is_async else self._run)(begin, end)
        if callback is not None:
            yield self._call_back(callback, result)
        return result

    def _run(self, begin: Callable[[], _Running], end: Callable[[_Running], CommandResult]) -> CommandResult:
        request = self._service.request
        running = begin()
        before, request._waiting = request._waiting, running
        try:
            if request.cancelled:
                running.cancel()
            result = end(running)
        finally:
            request._waiting = before
        if running.cancelled:
            raise Cancelled()
        return result

    async def _run_as_task(self, begin: Callable[[], _Running], end: Callable[[_Running], CommandResult]) -> CommandResult:
        import asyncio

        running = begin()
        try:
            return await asyncio.get_running_loop().run_in_executor(None, end, running)
        except asyncio.CancelledError:
            running.cancel()
            raise

    def _call_back(self, callback: Any, result: CommandResult) -> Any:
        if _is_service(callback):
            return self._service.invoke(callback, result.to_dict())
        return callback(result)

    def invoke_async(
        self,
        command: Command,
        *,
        cid: str = "",
        timeout: float = TIMEOUT_SECONDS,
        cwd: Optional[str] = None,
        env: Optional[Mapping[str, str]] = None,
        stdin: Union[str, bytes] = "",
        callback: Optional[Callable[[CommandResult], Any]] = None,
        encoding: str = "utf-8",
        replace_char: str = "\ufffd",
    ) -> CommandResult:
        """Begins a command and gives a result at once, which fills when the command ends.

        It goes on when the call is over, and ends with the worker. `callback` is a function of this process, which is called with the
        result: the call may be over by then, so it can't invoke services. For that have a service run the command with `invoke`, and
        invoke that service with `self.invoke_async`.
        """
        if callback is not None and (_is_service(callback) or not callable(callback)):
            raise TypeError("the callback of commands.invoke_async is a function; invoke a service that runs the command by self.invoke_async")
        result = CommandResult(cid or self._service.request.cid, _shown(command), _as_text(stdin), timeout, encoding, is_async=True)
        running = _Running(command, _as_bytes(stdin, encoding), cwd, env)
        logger = self._service.logger

        def wait() -> None:
            running.wait(timeout, result, replace_char)
            if callback is not None:
                try:
                    callback(result)
                except Exception:
                    logger.exception("the callback of the command '%s' raised an exception", result.command)

        threading.Thread(target=wait, name="tenon-command", daemon=True).start()
        return result


def _limited(request: Any, timeout: float) -> float:
    """The time that a command has: not more than its caller waits."""
    if not timeout > 0:
        raise ValueError(f"timeout has to be a number of seconds above 0, not {timeout!r}")
    deadline = request.deadline_ns
    return max(0.001, min(timeout, deadline / 1e9 - time.monotonic())) if deadline else timeout


def _is_service(callback: Any) -> bool:
    return isinstance(callback, (str, list, tuple)) or hasattr(callback, "handle") or isinstance(getattr(callback, "impl_name", None), str)


def _shown(command: Command) -> str:
    return command if isinstance(command, str) else " ".join(map(str, command))


def _as_text(stdin: Union[str, bytes]) -> str:
    return stdin if isinstance(stdin, str) else stdin.decode("utf-8", "replace")


def _as_bytes(stdin: Union[str, bytes], encoding: str) -> bytes:
    return stdin.encode(encoding) if isinstance(stdin, str) else stdin
