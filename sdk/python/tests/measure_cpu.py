"""Measures the CPU that a worker uses per request of a small service, over a socketpair. Run it by hand; it asserts nothing.

`python3 sdk/python/tests/measure_cpu.py [requests] [in flight]`
"""

import json
import os
import sys
import time
from typing import List, Tuple

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import Worker, http  # noqa: E402

from tenon import protocol  # noqa: E402
from tenon.protocol import Frame, RequestTail  # noqa: E402

SERVICE = """
from tenon import Service

class Order(Service):
    name = "order"

    def handle(self):
        order = self.request.payload
        total = sum(line["price"] * line["quantity"] for line in order["lines"])
        self.response.payload = {"id": order["id"], "customer": order["customer"], "total": total, "lines": len(order["lines"]), "currency": "EUR"}

class OrderWithCache(Service):
    name = "order-with-a-host-call"

    def handle(self):
        order = self.request.payload
        self.cache.get("key")
        self.response.payload = {"id": order["id"], "customer": order["customer"]}

class Declared(Service):
    name = "declared"
    input = "id", "customer", "-note"
    output = "id", "customer"

    def handle(self):
        self.response.payload.id = self.request.input.id
        self.response.payload.customer = self.request.input.customer
"""
ORDER = {
    "id": 1234,
    "customer": "A customer of ours",
    "note": "before noon",
    "lines": [{"sku": "AB-1", "price": 1250, "quantity": 3}, {"sku": "AB-2", "price": 990, "quantity": 1}],
}


NOT_FOUND = Frame(protocol.HOST_RETURN, tail=b'{"found":false}')


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(worker: Worker, service: str, requests: int, in_flight: int) -> float:
    """CPU microseconds per request."""
    headers = {"host": "localhost", "content-type": "application/json", "user-agent": "measure", "accept": "*/*", "content-length": "187"}
    metadata = json.dumps(http("POST", "/orders", headers=headers), separators=(",", ":")).encode()
    tail = protocol.encode_request_tail(RequestTail(time.monotonic_ns() + 10**12, "0123456789abcdef01234567", metadata))
    body = json.dumps(ORDER).encode()
    index = worker.index(service)
    frame = Frame(protocol.REQUEST, protocol.FLAG_JSON, index, 0, 0, tail, body)
    sock = worker._sock
    before = 0.0
    done = sent = 0
    data = b""
    warm_up = requests // 10
    while done < requests + warm_up:
        out = []
        while sent < requests + warm_up and sent - done < in_flight:
            sent += 1
            out.append(protocol.encode(frame._replace(id=(1 << 40) + sent)))
        if out:
            sock.sendall(b"".join(out))
        frames, data = decoded(data + sock.recv(1 << 16))
        done += sum(each.kind == protocol.REPLY for each in frames)
        returns = [protocol.encode(NOT_FOUND._replace(call=each.call, id=each.id)) for each in frames if each.kind == protocol.HOST_CALL]
        if returns:
            sock.sendall(b"".join(returns))
        if before == 0.0 and done >= warm_up:
            before = cpu_seconds(worker.process.pid)
    return (cpu_seconds(worker.process.pid) - before) / requests * 1e6


def decoded(data: bytes) -> Tuple[List[Frame], bytes]:
    """The whole frames of what was received, and the rest."""
    frames = []
    offset = 0
    while True:
        found = protocol.decode(data, offset)
        if found is None:
            return frames, data[offset:]
        frame, offset = found
        frames.append(frame)


def main() -> None:
    """Prints the figures."""
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    in_flight = int(sys.argv[2]) if len(sys.argv) > 2 else 32
    for service in ("order", "order-with-a-host-call", "declared"):
        # A worker of its own, whose replies this script reads instead of the harness.
        with Worker({"api.py": SERVICE}, read_replies=False) as worker:
            figure = measure(worker, service, requests, in_flight)
            print(f"{service}: {figure:.1f} us CPU per request (Python {worker.hello['python']}, {requests} requests, {in_flight} in flight)")


if __name__ == "__main__":
    main()
