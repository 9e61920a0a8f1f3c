"""One of two servers is killed under load and comes back: how each single request ended."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import random
import time

from cluster import TCP_SERVERS, Cluster, port_of

CONNECTIONS = 32
POST_PART = 0.3
SECONDS = 6.0
KILLED_AFTER, BACK_AFTER = 2.0, 4.0
# So long an answer takes, so that the server has requests when it is killed.
ANSWER_MILLIS = 10
BODY = b'{"amount": 1}'
GET = b"GET /orders HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


@dataclasses.dataclass
class Endings:
    """Requests of one run, by how they ended."""

    answered: int = 0
    # POSTs of which the client can't know whether they were carried out.
    unknown: int = 0
    failed: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    longest: float = 0.0


def measure_kill(targets: list[str]) -> None:
    """Prints a table."""
    print(f"\nkill: kill -9 of one of two servers for {BACK_AFTER - KILLED_AFTER:.0f} s; {CONNECTIONS} connections, 30 % POST")
    print("(tenon: 0 failed; unknown are only POSTs that the killed server had)\n")
    print("| target | requests | answered | unknown | failed | longest, ms |")
    print("|---|---|---|---|---|---|")
    for target in targets:
        with Cluster([target], 100, ANSWER_MILLIS) as cluster:
            endings = asyncio.run(ask_and_kill(cluster, port_of(target, "http")))
        failed = sum(endings.failed.values())
        total = endings.answered + endings.unknown + failed
        print(f"| {target} | {total} | {endings.answered} | {endings.unknown} | {failed} | {endings.longest * 1000:.0f} |")
        for ending, count in endings.failed.most_common():
            print(f"  {target}: {count} × {ending}")


async def ask_and_kill(cluster: Cluster, port: int) -> Endings:
    endings = Endings()
    started = time.monotonic()
    clients = [ask(port, random.Random(number), started + SECONDS, endings) for number in range(CONNECTIONS)]
    clients_done = asyncio.gather(*clients)
    await asyncio.sleep(KILLED_AFTER)
    cluster.kill_server(TCP_SERVERS[1])
    await asyncio.sleep(BACK_AFTER - KILLED_AFTER)
    cluster.start_server(TCP_SERVERS[1])
    await clients_done
    return endings


async def ask(port: int, chance: random.Random, until: float, endings: Endings) -> None:
    """One client, which keeps its connection as long as it may."""
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while (begun := time.monotonic()) < until:
        is_post = chance.random() < POST_PART
        is_kept = False
        try:
            streams = streams or await asyncio.open_connection("127.0.0.1", port)
            streams[1].write(POST if is_post else GET)
            status, is_kept = await asyncio.wait_for(read_answer(streams[0]), 10)
            ending = str(status)
        except (OSError, EOFError, ValueError) as error:
            ending = type(error).__name__
        endings.longest = max(endings.longest, time.monotonic() - begun)
        if ending == "200":
            endings.answered += 1
        elif is_post and ending != "503":
            endings.unknown += 1
        else:
            endings.failed[f"{'POST' if is_post else 'GET'} {ending}"] += 1
        if streams and not is_kept:
            streams[1].close()
            streams = None
    if streams:
        streams[1].close()


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """The status, and whether the connection can be used again."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length, is_kept = 0, True
    for line in head.split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name == "content-length":
            length = int(value)
        if name == "connection":
            is_kept = value.strip() != "close"
    await reader.readexactly(length)
    return int(head.split()[1]), is_kept
