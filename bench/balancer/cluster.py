"""What the rows of `run` are measured with: small servers, and the load balancers in front of them."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from measure import RELEASE, Processes, family, wait_until_answers  # noqa: E402

# Where the configurations of the peers expect the certificate.
TLS = pathlib.Path("/tmp/tenon-bench-tls")
PORTS = {"tenon": 18080, "haproxy": 18081, "nginx": 18082, "tenon-unix": 18083, "tenon-log": 18084}
# The port of a target's HTTPS lies this far above its port of HTTP.
TLS_OFFSET = 400
TCP_SERVERS = ["127.0.0.1:18091", "127.0.0.1:18092"]
UNIX_SERVERS = ["/tmp/tenon-bench-1.sock", "/tmp/tenon-bench-2.sock"]


def make_certificate() -> None:
    """A P-256 certificate, the same for all."""
    TLS.mkdir(mode=0o700, exist_ok=True)
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost".split()
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(TLS / "key.pem"), "-out", str(TLS / "cert.pem")]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    both = (TLS / "cert.pem").read_text() + (TLS / "key.pem").read_text()
    (TLS / "both.pem").write_text(both)


def port_of(target: str, scheme: str) -> int:
    return PORTS[target] + (TLS_OFFSET if scheme == "https" else 0)


class Cluster(Processes):
    """Two servers that answer so many bytes after so many milliseconds, and the targets in front of them."""

    def __init__(self, targets: list[str], answer_bytes: int, answer_millis: int = 0) -> None:
        super().__init__()
        self.answer = [str(answer_bytes), str(answer_millis)]
        self.servers: dict[str, int] = {}
        self.pids: dict[str, int] = {}
        try:
            for address in TCP_SERVERS + (UNIX_SERVERS if "tenon-unix" in targets else []):
                self.start_server(address)
            for name in targets:
                self.pids[name] = self.start_target(name)
            for name in targets:
                wait_until_answers(f"http://127.0.0.1:{PORTS[name]}/")
        except BaseException:
            self.__exit__()
            raise

    def start_server(self, address: str) -> None:
        self.servers[address] = self.start(RELEASE / "examples" / "answer", address, *self.answer)

    def kill_server(self, address: str) -> None:
        os.kill(self.servers[address], signal.SIGKILL)

    def start_target(self, name: str) -> int:
        """Starts what is measured; gives its process."""
        if name == "haproxy":
            return self.start("haproxy", "-W", "-f", HERE / "haproxy.cfg")
        if name == "nginx":
            return self.start("nginx", "-c", HERE / "nginx.conf")
        environment = {
            "TENON_TLS": f"127.0.0.1:{PORTS[name] + TLS_OFFSET}",
            "TENON_CERTIFICATE": str(TLS / "cert.pem"),
            "TENON_PRIVATE_KEY": str(TLS / "key.pem"),
        }
        if name == "tenon-log":
            environment["TENON_ACCESS_LOG"] = "1"
        servers = UNIX_SERVERS if name == "tenon-unix" else TCP_SERVERS
        return self.start(RELEASE / "examples" / "balance", f"127.0.0.1:{PORTS[name]}", *servers, **environment)

    def processes_of(self, target: str) -> list[int]:
        return family(self.pids[target])


def settle(seconds: float = 1.5) -> None:
    """Lets health checks and closing connections come to rest."""
    time.sleep(seconds)
