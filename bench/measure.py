"""What all scenarios measure with: processes and their CPU, load by wrk, interleaved rounds, a table of medians.

CPU is the on-CPU time of all threads of a target's processes (`/proc/PID/task/*/schedstat`), so it does not depend on what else
the machine does, as rates and latencies do.
"""
from __future__ import annotations

import contextlib
import os
import pathlib
import re
import signal
import statistics
import subprocess
import time
import typing
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
RELEASE = ROOT / "target" / "release"
VENV = ROOT / "target" / "bench-venv" / "bin"


def family(pid: int) -> list[int]:
    """A process and all that any of its threads started, also what these started."""
    children: list[str] = []
    for file in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            children += file.read_text().split()
    return [pid] + [member for child in children for member in family(int(child))]


def cpu_ns(pids: list[int]) -> int:
    total = 0
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(task.read_text().split()[0])
    return total


def pss_bytes(pids: list[int]) -> int:
    """Memory with shared pages divided among those that share them."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss:\s+(\d+) kB", text, re.M).group(1)) * 1024
    return total


def wait_until_answers(url: str, seconds: float = 30.0) -> float:
    """Asks until the answer is 200; returns how long that took."""
    started = time.monotonic()
    while True:
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(url, timeout=1) as response:
                if response.status == 200:
                    return time.monotonic() - started
        if time.monotonic() - started > seconds:
            raise SystemExit(f"{url} does not answer")
        time.sleep(0.005)


class Processes:
    """Processes of a run, ended with it."""

    def __init__(self) -> None:
        self.running: list[subprocess.Popen] = []

    def start(self, *command: object, **environment: str) -> int:
        words = [str(word) for word in command]
        process = subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **environment}
        )
        self.running.append(process)
        return process.pid

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.running):
            process.send_signal(signal.SIGTERM)
        for process in self.running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


class Target:
    """Something to put load on: its address and the processes whose CPU counts."""

    def __init__(self, name: str, url: str, pids: list[int]) -> None:
        self.name, self.url, self.pids = name, url, pids
        self.rows: list[dict] = []

    def load(self, connections: int, seconds: int, script: pathlib.Path | None) -> None:
        members = [member for pid in self.pids for member in family(pid)]
        before = cpu_ns(members)
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
        command += ["-s", str(script)] if script else []
        output = subprocess.run([*command, self.url], capture_output=True, text=True, check=True).stdout
        spent = cpu_ns(members) - before
        requests = int(re.search(r"(\d+) requests in", output).group(1))
        failed = re.search(r"(Socket errors|Non-2xx).*", output)
        if failed:
            print(f"{self.name}: {failed.group(0)}")
        percentile = {int(k): v for k, v in re.findall(r"^\s+(\d+)%\s+(\S+)\s*$", output, re.M)}
        self.rows.append(
            {"cpu": spent / max(requests, 1) / 1000, "rate": requests / seconds, "p50": percentile[50], "p99": percentile[99]}
        )

    def median(self, what: str) -> float:
        return statistics.median(row[what] for row in self.rows)


def interleave(targets: list[Target], rounds: int, connections: int, seconds: int, script: pathlib.Path | None = None) -> None:
    """Loads every target once a round, in alternating order, after one round that is not counted."""
    for target in targets:
        target.load(connections, 1, script)
        target.rows.clear()
    for number in range(rounds):
        for target in targets if number % 2 == 0 else targets[::-1]:
            target.load(connections, seconds, script)


def table(title: str, targets: list[Target], peers: list[str]) -> None:
    """Prints medians, and each target's CPU as a ratio to that of the peers."""
    by_name = {target.name: target for target in targets}
    peers = [peer for peer in peers if peer in by_name]
    print(f"\n{title}\n")
    print("| target | CPU µs/request (range) | req/s | p50 | p99 | " + " | ".join(f"CPU ratio to {peer}" for peer in peers) + " |")
    print("|---|---|---|---|---|" + "---|" * len(peers))
    for target in targets:
        cpu = [row["cpu"] for row in target.rows]
        middle = sorted(target.rows, key=lambda row: row["rate"])[len(target.rows) // 2]
        ratios = " | ".join(f"{target.median('cpu') / by_name[peer].median('cpu'):.2f}" for peer in peers)
        print(
            f"| {target.name} | {target.median('cpu'):.1f} ({min(cpu):.1f}-{max(cpu):.1f}) | {target.median('rate'):.0f} "
            f"| {middle['p50']} | {middle['p99']} | {ratios} |"
        )
