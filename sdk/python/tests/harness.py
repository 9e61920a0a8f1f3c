"""Drives a real worker process over a socketpair, as the server does."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

SDK = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, SDK)

from tenon import protocol  # noqa: E402
from tenon.protocol import Frame, RequestTail  # noqa: E402

TIMEOUT_SECONDS = 30.0

HostHandler = Callable[[Frame, Dict[str, Any]], Frame]


class Reply:
    """What the worker answered to a request."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.status = frame.code or 200
        self.body = frame.body
        self.is_json = bool(frame.flags & protocol.FLAG_JSON)
        self.is_error = bool(frame.flags & protocol.FLAG_ERROR)
        self.tail = json.loads(frame.tail) if frame.tail else {}

    def json(self) -> Any:
        return json.loads(self.body)


class Worker:
    """A worker process and the server's end of its socket."""

    def __init__(
        self, files: Dict[str, str], threads: int = 8, host: Optional[HostHandler] = None, arguments: Sequence[str] = (), read_replies: bool = True
    ) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="tenon-worker-")
        self.root = os.path.join(self._directory.name, "services")
        for path, content in files.items():
            location = os.path.join(self.root, path)
            os.makedirs(os.path.dirname(location), exist_ok=True)
            with open(location, "w", encoding="utf-8") as file:
                file.write(content)
        os.makedirs(self.root, exist_ok=True)
        self._host = host
        self._lock = threading.Lock()
        self._send_lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._replies: Dict[int, Reply] = {}
        self._pongs: Dict[int, Frame] = {}
        self.logs: List[Dict[str, Any]] = []
        self.metrics: List[Dict[str, Any]] = []
        self.hello: Dict[str, Any] = {}
        self.closed = False
        self._next_id = 0
        ours, theirs = socket.socketpair()
        self._sock = ours
        environment = dict(os.environ, TENON_WORKER_FD=str(theirs.fileno()))
        command = [sys.executable, "-X", "faulthandler", "-u", os.path.join(SDK, "tenon_worker.py"), "--root", self.root, "--threads", str(threads)]
        self.process = subprocess.Popen(
            [*command, *arguments],
            env=environment,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        theirs.close()
        self._stops_after_hello = not read_replies
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait(lambda: bool(self.hello) or self.closed)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def close(self) -> None:
        self._sock.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        self._directory.cleanup()

    def wait(self, condition: Callable[[], bool], timeout: float = TIMEOUT_SECONDS) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise AssertionError(f"not within {timeout} s; logs: {self.logs[-5:]}")

    def _read(self) -> None:
        data = bytearray()
        while True:
            try:
                chunk = self._sock.recv(1 << 20)
            except OSError:
                chunk = b""
            if not chunk:
                break
            data += chunk
            offset = 0
            while True:
                decoded = protocol.decode(data, offset)
                if decoded is None:
                    break
                frame, offset = decoded
                self._take(frame)
            del data[:offset]
            if self.hello and self._stops_after_hello:
                return
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def _take(self, frame: Frame) -> None:
        if frame.kind == protocol.HOST_CALL:
            assert self._host is not None, "the test expects no host call"
            threading.Thread(target=self._serve_host_call, args=(frame,), daemon=True).start()
            return
        with self._changed:
            if frame.kind == protocol.HELLO:
                self.hello = json.loads(frame.body)
            elif frame.kind == protocol.REPLY:
                assert frame.id not in self._replies, "two replies to one request"
                self._replies[frame.id] = Reply(frame)
            elif frame.kind == protocol.PING:
                self._pongs[frame.id] = frame
            elif frame.kind == protocol.LOG:
                self.logs.append(json.loads(frame.body))
            elif frame.kind == protocol.METRIC:
                self.metrics.append(json.loads(frame.body))
            else:
                raise AssertionError(f"unexpected frame {frame}")
            self._changed.notify_all()

    def _serve_host_call(self, frame: Frame) -> None:
        assert self._host is not None
        answer = self._host(frame, json.loads(frame.tail))
        if answer is not None:
            self.send(answer._replace(kind=protocol.HOST_RETURN, call=frame.call, id=frame.id))

    def send(self, frame: Frame) -> None:
        self.send_bytes(protocol.encode(frame))

    def send_bytes(self, data: bytes) -> None:
        try:
            with self._send_lock:
                self._sock.sendall(data)
        except OSError:
            # The worker has ended; a test sees that by the replies that are missing.
            pass

    def disconnect(self) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)

    def index(self, service: str) -> int:
        names = [each["name"] for each in self.hello["services"]]
        return names.index(service)

    def begin(
        self, service: str, payload: Any = None, *, raw: Optional[bytes] = None, cid: str = "cid-1", deadline_ns: int = 0, **metadata: Any
    ) -> int:
        """Sends a request and gives its id."""
        frame = self._request(service, payload, raw, cid, deadline_ns, metadata)
        self.send(frame)
        return frame.id

    def begin_together(self, *requests: Tuple[str, Any]) -> List[int]:
        """Sends several requests, by service and payload, so that the worker reads them at once; gives their ids."""
        frames = [self._request(service, payload, None, "cid-1", 0, {}) for service, payload in requests]
        self.send_bytes(b"".join(protocol.encode(frame) for frame in frames))
        return [frame.id for frame in frames]

    def _request(self, service: str, payload: Any, raw: Optional[bytes], cid: str, deadline_ns: int, metadata: Dict[str, Any]) -> Frame:
        with self._lock:
            self._next_id += 1
            id = self._next_id
        body, flags = b"", 0
        if raw is not None:
            body = raw
        elif payload is not None:
            body, flags = json.dumps(payload).encode(), protocol.FLAG_JSON
        tail = protocol.encode_request_tail(RequestTail(deadline_ns, cid, json.dumps(metadata, separators=(",", ":")).encode() if metadata else b""))
        return Frame(protocol.REQUEST, flags, self.index(service), 0, id, tail, body)

    def reply(self, id: int, timeout: float = TIMEOUT_SECONDS) -> Reply:
        """Waits for the reply to a request."""
        self.wait(lambda: id in self._replies or self.closed, timeout)
        if id not in self._replies:
            raise AssertionError(f"the worker ended: {self.process.wait()}: {self.process.stderr.read()!r}")  # type: ignore[union-attr]
        return self._replies.pop(id)

    def has_reply(self, id: int) -> bool:
        return id in self._replies

    def call(self, service: str, payload: Any = None, **options: Any) -> Reply:
        """Sends a request and waits for its reply."""
        return self.reply(self.begin(service, payload, **options))

    def ping(self, id: int, timeout: float = TIMEOUT_SECONDS) -> float:
        """How long a ping takes in seconds."""
        began = time.monotonic()
        self.send(Frame(protocol.PING, id=id))
        self.wait(lambda: id in self._pongs, timeout)
        return time.monotonic() - began

    def wait_for_exit(self, timeout: float = TIMEOUT_SECONDS) -> int:
        return self.process.wait(timeout)

    def log_lines(self, logger: str) -> List[str]:
        return [each["message"] for each in self.logs if each["logger"] == logger]


def http(method: str = "POST", path: str = "/", data_format: str = "json", **more: Any) -> Dict[str, Any]:
    """The metadata of a request that came over REST."""
    facts: Dict[str, Any] = {"channel": "rest", "channel_name": "test", "method": method, "path": path, "data_format": data_format}
    facts.update(query={}, params={}, headers={}, remote="127.0.0.1", merged_params={})
    facts.update(more)
    return facts
