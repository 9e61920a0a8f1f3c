"""Frames with wrong bytes, in pieces of any size: a worker goes on or ends, but it never hangs and never runs what was not asked for.

The seeds are fixed; `TENON_FUZZ_SEEDS=100:200` tries others.
"""

import os
import random
import time
import unittest
from typing import List

from harness import SDK, Worker

from tenon import protocol
from tenon.protocol import Frame, ProtocolError

CRATE = os.path.join(SDK, "..", "..", "crates", "tenon-protocol")
SERVICES = """
from tenon import Service

class Echo(Service):
    name = 'test.echo'
    def handle(self):
        self.response.payload = self.request.payload

class Copy(Service):
    name = 'test.copy'
    streams = True
    def handle(self):
        for piece in self.request.stream:
            yield piece

class Async(Service):
    name = 'test.async'
    async def handle(self):
        self.response.payload = 1
"""


def seeds() -> range:
    first, _, last = os.environ.get("TENON_FUZZ_SEEDS", "0:20").partition(":")
    return range(int(first), int(last))


def corpus() -> List[bytes]:
    files = [os.path.join(CRATE, folder, name) for folder in ("golden", "hostile") for name in sorted(os.listdir(os.path.join(CRATE, folder)))]
    frames = []
    for path in files:
        if path.endswith(".bin"):
            with open(path, "rb") as file:
                frames.append(file.read())
    return frames


def hostile(chance: random.Random, frames: List[bytes]) -> bytes:
    """A few frames, some with wrong bytes, some cut off."""
    data = bytearray()
    for _ in range(chance.randrange(1, 6)):
        frame = bytearray(chance.choice(frames))
        for _ in range(chance.choice((0, 0, 1, 3))):
            frame[chance.randrange(len(frame))] = chance.randrange(256)
        data += frame[: len(frame) - chance.choice((0, 0, 0, 1, 5))]
    return bytes(data)


class Decoding(unittest.TestCase):
    def test_no_bytes_make_the_decoder_raise_anything_else_or_split_frames_differently(self) -> None:
        frames = corpus()
        for seed in range(300):
            data = hostile(random.Random(seed), frames)
            self.assertEqual(self._decoded(data, len(data)), self._decoded(data, 7), seed)

    @staticmethod
    def _decoded(data: bytes, piece: int) -> List[object]:
        """Frames read from data that come in pieces, and the error at their end."""
        buffer, found = bytearray(), []
        for start in range(0, len(data), piece):
            buffer += data[start : start + piece]
            while True:
                try:
                    decoded = protocol.decode(bytes(buffer))
                except ProtocolError:
                    return [*found, "refused"]
                if decoded is None:
                    break
                found.append(decoded[0])
                del buffer[: decoded[1]]
        return found


class Workers(unittest.TestCase):
    def test_a_worker_goes_on_or_ends(self) -> None:
        frames = corpus()
        worker = None
        for seed in seeds():
            with self.subTest(seed=seed):
                chance = random.Random(seed)
                worker = worker or Worker({"services.py": SERVICES}, threads=2)
                data = hostile(chance, frames)
                at = 0
                while at < len(data):
                    size = chance.choice((1, 7, 100, 5000))
                    worker.send_bytes(data[at : at + size])
                    at += size
                if not self._goes_on(worker):
                    worker.close()
                    worker = None
        if worker is not None:
            worker.close()

    def _goes_on(self, worker: Worker) -> bool:
        """Whether the worker still answers; if it waits for the rest of a frame, or has ended, it must end now."""
        worker.send(Frame(protocol.PING, id=12345))
        deadline = time.monotonic() + 0.2
        while time.monotonic() < deadline and 12345 not in worker._pongs and not worker.closed:
            time.sleep(0.005)
        if worker._pongs.pop(12345, None) is not None:
            return True
        worker.disconnect()
        worker.wait_for_exit()
        return False


if __name__ == "__main__":
    unittest.main()
