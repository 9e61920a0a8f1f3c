"""Bodies in pieces, either way, with the server's end played by the test."""

import threading
import unittest

from harness import Worker

from tenon import protocol
from tenon.protocol import CHUNK, CREDIT, FLAG_END, FLAG_ERROR, FLAG_STREAM, REPLY, STREAM_WINDOW_BYTES, Frame, chunk_cost

SERVICES = """
import io, time
from tenon import Service

LOG = []

class Count(Service):
    name = 'test.count'
    def handle(self):
        size, log = self.request.payload['size'], self.logger
        def pieces():
            try:
                for number in range(size):
                    yield b'x' * 50_000
            finally:
                log.info('closed')
        self.response.content_type = 'text/x'
        return pieces()

class Generator(Service):
    name = 'test.generator'
    def handle(self):
        yield 'one,'
        yield ''
        yield b'two,'
        yield bytearray(200_000)

class File(Service):
    name = 'test.file'
    def handle(self):
        self.response.payload = io.BytesIO(b'f' * 100_000)

class Broken(Service):
    name = 'test.broken'
    def handle(self):
        if self.request.payload == 'at once':
            raise ValueError('no first piece')
        yield b'a'
        raise ValueError('no more')

class Wrong(Service):
    name = 'test.wrong'
    def handle(self):
        yield {'a': 1}

class Sum(Service):
    name = 'test.sum'
    streams = True
    def handle(self):
        total = sum(len(piece) for piece in self.request.stream)
        self.response.payload = {'total': total}

class Read(Service):
    name = 'test.read'
    streams = True
    def handle(self):
        stream = self.request.stream
        self.response.payload = [str(stream.read(3), 'utf-8'), str(stream.read(4), 'utf-8'), str(stream.read(), 'utf-8'), stream.read(5) == b'']

class Copy(Service):
    name = 'test.copy'
    streams = True
    def handle(self):
        for piece in self.request.stream:
            yield piece

class First(Service):
    name = 'test.first'
    streams = True
    def handle(self):
        self.response.payload = {'first': len(next(self.request.stream))}

class AsyncCopy(Service):
    name = 'test.async-copy'
    streams = True
    async def handle(self):
        async for piece in self.request.stream:
            yield piece

class AsyncRead(Service):
    name = 'test.async-read'
    streams = True
    async def handle(self):
        self.response.payload = {'start': str(await self.request.stream.read(2), 'utf-8'), 'rest': len(await self.request.stream.read())}

class AsyncCount(Service):
    name = 'test.async-count'
    async def handle(self):
        log = self.logger
        try:
            while True:
                yield b'y' * 10_000
        finally:
            log.info('closed')

class Quick(Service):
    name = 'test.quick'
    def handle(self):
        self.response.payload = 'quick'
"""


class Streaming(Worker):
    """The server's end with streams: keeps the chunks of each request, and grants credit when told to."""

    def __init__(self, threads: int = 8) -> None:
        self.chunks: dict = {}
        self.credits: dict = {}
        self.taken: dict = {}
        self.ends: dict = {}
        self.heads: dict = {}
        self.grants = True
        super().__init__({"services.py": SERVICES}, threads=threads)

    def _take(self, frame: Frame) -> None:
        if frame.kind == CHUNK:
            with self._changed:
                self._take_chunk(frame)
                self._changed.notify_all()
        elif frame.kind == CREDIT:
            with self._changed:
                self.credits[frame.id] = self.credits.get(frame.id, 0) + frame.call
                self._changed.notify_all()
        elif frame.kind == REPLY and frame.flags & FLAG_STREAM:
            with self._changed:
                assert frame.id not in self.heads
                self.heads[frame.id] = frame
                self._changed.notify_all()
        else:
            super()._take(frame)

    def _take_chunk(self, frame: Frame) -> None:
        assert frame.id in self.heads and frame.id not in self.ends
        if frame.flags & FLAG_ERROR:
            self.ends[frame.id] = str(frame.body, "utf-8")
            return
        if frame.flags & FLAG_END:
            self.ends[frame.id] = None
        self.chunks.setdefault(frame.id, []).append(frame.body)
        cost = chunk_cost(len(frame.body))
        self.taken[frame.id] = self.taken.get(frame.id, 0) + cost
        if self.grants and cost:
            self.grant(frame.id, cost)

    def grant(self, id: int, size: int) -> None:
        self.taken[id] -= size
        self.send(Frame(CREDIT, call=size, id=id))

    def begin_stream(self, service: str, start: bytes = b"") -> int:
        with self._lock:
            self._next_id += 1
            id = self._next_id
        tail = protocol.encode_request_tail(protocol.RequestTail(0, "cid-1", b""))
        self.send(Frame(protocol.REQUEST, FLAG_STREAM, self.index(service), 0, id, tail, start))
        return id

    def piece(self, id: int, body: bytes, flags: int = 0, code: int = 0) -> None:
        self.send(Frame(CHUNK, flags, code, 0, id, b"", body))

    def body(self, id: int) -> bytes:
        self.wait(lambda: id in self.ends)
        assert self.ends[id] is None, self.ends[id]
        return b"".join(self.chunks.get(id, []))


class Answers(unittest.TestCase):
    def test_generators_and_files_are_sent_in_pieces(self) -> None:
        with Streaming() as worker:
            id = worker.begin("test.generator")
            self.assertEqual(worker.body(id), b"one,two," + bytes(200_000))
            self.assertTrue(all(len(chunk) <= protocol.CHUNK_LIMIT_BYTES for chunk in worker.chunks[id]))
            self.assertEqual(worker.body(worker.begin("test.file")), b"f" * 100_000)

    def test_no_more_is_sent_than_was_granted(self) -> None:
        with Streaming() as worker:
            worker.grants = False
            id = worker.begin("test.count", {"size": 40})
            worker.wait(lambda: worker.taken.get(id, 0) == 250_000)
            # The thread that waits for credit holds up nobody.
            self.assertEqual(worker.call("test.quick").body, b"quick")
            self.assertEqual(worker.taken[id], 250_000)
            self.assertNotIn(id, worker.ends)
            worker.grants = True
            worker.grant(id, 250_000)
            self.assertEqual(len(worker.body(id)), 2_000_000)
            self.assertEqual(worker.heads[id].tail, b'{"content_type":"text/x"}')

    def test_many_slow_readers_hold_up_nobody(self) -> None:
        with Streaming(threads=4) as worker:
            worker.grants = False
            ids = [worker.begin("test.count", {"size": 10}) for _ in range(3)]
            worker.wait(lambda: all(worker.taken.get(id, 0) == 250_000 for id in ids))
            self.assertEqual(worker.call("test.quick").body, b"quick")
            for id in ids:
                worker.grant(id, 250_000)
            for id in ids:
                self.assertEqual(len(worker.body(id)), 500_000)

    def test_an_exception_before_the_first_piece_is_answered_and_a_later_one_cuts_the_answer_off(self) -> None:
        with Streaming() as worker:
            reply = worker.call("test.broken", "at once")
            self.assertTrue(reply.is_error)
            self.assertEqual(reply.json()["message"], "no first piece")
            self.assertTrue(worker.call("test.wrong").is_error)
            id = worker.begin("test.broken", "later")
            worker.wait(lambda: id in worker.ends)
            self.assertEqual((worker.chunks[id], worker.ends[id]), ([b"a"], "ValueError: no more"))

    def test_a_cancel_closes_the_generator(self) -> None:
        for service in ("test.count", "test.async-count"):
            with self.subTest(service=service), Streaming() as worker:
                self._check_that_a_cancel_closes(worker, service)

    def _check_that_a_cancel_closes(self, worker: Streaming, service: str) -> None:
        worker.grants = False
        id = worker.begin(service, {"size": 1000})
        worker.wait(lambda: worker.taken.get(id, 0) >= 200_000)
        worker.send(Frame(protocol.CANCEL, id=id))
        worker.wait(lambda: id in worker.ends)
        self.assertEqual(worker.ends[id], "nobody waits for it")
        worker.wait(lambda: worker.log_lines(service) == ["closed"])

    def test_a_drained_worker_ends_what_it_streams(self) -> None:
        with Streaming() as worker:
            worker.grants = False
            id = worker.begin("test.count", {"size": 10})
            worker.wait(lambda: worker.taken.get(id, 0) == 250_000)
            worker.send(Frame(protocol.DRAIN))
            worker.grant(id, 250_000)
            self.assertEqual(len(worker.body(id)), 500_000)
            self.assertEqual(worker.wait_for_exit(), 0)


class Inputs(unittest.TestCase):
    def test_pieces_are_read_as_they_come_and_credit_is_given_back(self) -> None:
        with Streaming() as worker:
            id = worker.begin_stream("test.sum", b"start")
            sent = 0
            for _ in range(40):
                cost = chunk_cost(50_000)
                worker.wait(lambda: sent - worker.credits.get(id, 0) + cost <= STREAM_WINDOW_BYTES)  # noqa: B023
                worker.piece(id, b"x" * 50_000)
                sent += cost
            worker.piece(id, b"end", FLAG_END)
            self.assertEqual(worker.reply(id).json(), {"total": 2_000_008})
            self.assertLessEqual(worker.credits[id], sent)

    def test_read_gives_what_was_asked_for_whatever_the_pieces(self) -> None:
        with Streaming() as worker:
            for pieces in (["abcdefghij"], list("abcdefghij"), ["ab", "cdefgh", "ij"]):
                id = worker.begin_stream("test.read")
                for piece in pieces:
                    worker.piece(id, piece.encode())
                worker.piece(id, b"", FLAG_END)
                self.assertEqual(worker.reply(id).json(), ["abc", "defg", "hij", True])
            self.assertEqual(worker.call("test.read", raw=b"abcdefghij").json(), ["abc", "defg", "hij", True])

    def test_a_body_that_was_cut_off_is_not_taken_for_whole(self) -> None:
        with Streaming() as worker:
            for service in ("test.sum", "test.async-read"):
                for code, status in ((413, 413), (0, 400)):
                    id = worker.begin_stream(service, b"abc")
                    worker.piece(id, b"the client left", FLAG_ERROR, code)
                    self.assertEqual(worker.reply(id).status, status)

    def test_input_and_answer_at_once(self) -> None:
        with Streaming() as worker:
            for service in ("test.copy", "test.async-copy"):
                id = worker.begin_stream(service)
                for number in range(3):
                    worker.piece(id, b"%d" % number * 1000)
                    expected = number + 1
                    worker.wait(lambda: len(worker.chunks.get(id, ())) == expected)  # noqa: B023
                worker.piece(id, b"", FLAG_END)
                self.assertEqual(worker.body(id), b"0" * 1000 + b"1" * 1000 + b"2" * 1000)
            self.assertEqual(worker.body(worker.begin("test.copy", raw=b"whole")), b"whole")

    def test_async_read(self) -> None:
        with Streaming() as worker:
            id = worker.begin_stream("test.async-read", b"a")
            threading.Timer(0.05, worker.piece, (id, b"bcd")).start()
            threading.Timer(0.1, worker.piece, (id, b"e", FLAG_END)).start()
            self.assertEqual(worker.reply(id).json(), {"start": "ab", "rest": 3})

    def test_pieces_of_a_request_that_was_answered_are_ignored(self) -> None:
        with Streaming() as worker:
            id = worker.begin_stream("test.first", b"abc")
            self.assertEqual(worker.reply(id).json(), {"first": 3})
            worker.piece(id, b"more")
            worker.piece(id, b"", FLAG_END)
            worker.send(Frame(CREDIT, call=5, id=id))
            self.assertEqual(worker.call("test.quick").body, b"quick")

    def test_a_cancel_ends_the_waiting_for_a_piece(self) -> None:
        with Streaming() as worker:
            for service in ("test.sum", "test.async-read"):
                id = worker.begin_stream(service)
                worker.send(Frame(protocol.CANCEL, id=id))
                self.assertEqual(worker.reply(id).status, 499)


if __name__ == "__main__":
    unittest.main()
