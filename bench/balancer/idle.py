"""Memory of each target with thousands of connections that have nothing to do."""

from __future__ import annotations

import resource
import socket
import ssl

from cluster import TLS, Cluster, port_of, settle
from measure import pss_bytes

CONNECTIONS = 5000
MEGABYTES_MAX = 60


def measure_idle(targets: list[str]) -> None:
    """Prints a table: every connection has asked once and is kept."""
    wanted = CONNECTIONS + 500
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), max(hard, wanted)))
    print(f"\nidle: memory with {CONNECTIONS} idle connections, after one request each (tenon: less than {MEGABYTES_MAX} MB)\n")
    print("| target | at first | plain connections | TLS connections |")
    print("|---|---|---|---|")
    for target in targets:
        cells = []
        for scheme in ("http", "https"):
            before, after = open_connections(target, scheme)
            if not cells:
                cells.append(f"{before:.1f} MB")
            cells.append(f"{after:.1f} MB ({(after - before) * 1024 / CONNECTIONS:.1f} KB each)")
        print(f"| {target} | {' | '.join(cells)} |", flush=True)


def open_connections(target: str, scheme: str) -> tuple[float, float]:
    """Megabytes before and after."""
    context = ssl.create_default_context(cafile=str(TLS / "cert.pem"))
    connections: list[socket.socket] = []
    with Cluster([target], 100) as cluster:
        settle()
        before = megabytes(cluster, target)
        for _ in range(CONNECTIONS):
            connection = socket.create_connection(("127.0.0.1", port_of(target, scheme)))
            if scheme == "https":
                connection = context.wrap_socket(connection, server_hostname="localhost")
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"{target} does not answer with {len(connections)} connections open")
            connections.append(connection)
        settle()
        after = megabytes(cluster, target)
        for connection in connections:
            connection.close()
    return before, after


def megabytes(cluster: Cluster, target: str) -> float:
    return pss_bytes(cluster.processes_of(target)) / 1024 / 1024
