"""Frames, and the golden ones that every SDK must read and write byte for byte."""

import base64
import json
import os
import unittest

from harness import SDK

from tenon import protocol
from tenon.protocol import Frame, ProtocolError, RequestTail

GOLDEN = os.path.join(SDK, "..", "..", "crates", "tenon-protocol", "golden")


class GoldenFrames(unittest.TestCase):
    def test_each_is_read_as_described_and_written_back(self) -> None:
        names = sorted(name[: -len(".bin")] for name in os.listdir(GOLDEN) if name.endswith(".bin"))
        self.assertGreaterEqual(len(names), 23)
        for name in names:
            with self.subTest(frame=name):
                with open(os.path.join(GOLDEN, f"{name}.bin"), "rb") as file:
                    data = file.read()
                with open(os.path.join(GOLDEN, f"{name}.json"), encoding="utf-8") as file:
                    described = json.load(file)
                self._check(data, described)

    def _check(self, data: bytes, described: dict) -> None:
        decoded = protocol.decode(data)
        assert decoded is not None
        frame, end = decoded
        self.assertEqual(end, len(data))
        for field in ("kind", "flags", "code", "call", "id"):
            self.assertEqual(getattr(frame, field), described[field], field)
        body = described["body"]
        self.assertEqual(frame.body, body["text"].encode() if "text" in body else base64.b64decode(body["base64"]))
        tail = described["tail"]
        if "json" in tail:
            self.assertEqual(json.loads(frame.tail) if frame.tail else None, tail["json"])
        else:
            read = protocol.decode_request_tail(frame.tail)
            self.assertEqual((read.deadline_ns, read.cid), (tail["deadline_ns"], tail["cid"]))
            self.assertEqual(json.loads(read.metadata) if read.metadata else None, tail["metadata"])
            self.assertEqual(protocol.encode_request_tail(read), frame.tail)
        self.assertEqual(protocol.encode(frame), data)


class Framing(unittest.TestCase):
    def test_incomplete_data_are_no_frame_yet(self) -> None:
        data = protocol.encode(Frame(protocol.REPLY, id=7, tail=b"{}", body=b"abc"))
        for size in range(len(data)):
            self.assertIsNone(protocol.decode(data[:size]))
        self.assertEqual(protocol.decode(data + b"more"), (Frame(protocol.REPLY, id=7, tail=b"{}", body=b"abc"), len(data)))

    def test_sizes_beyond_the_limits_are_refused(self) -> None:
        for header, body in ((15, 0), (protocol.HEADER_LIMIT_BYTES + 1, 0), (16, protocol.BODY_LIMIT_BYTES + 1)):
            with self.assertRaises(ProtocolError):
                protocol.decode(protocol.PREFIX.pack(header, body, 0, 0, 0, 0, 0))

    def test_tails_of_requests_that_are_cut_off_are_refused(self) -> None:
        tail = protocol.encode_request_tail(RequestTail(1, "abc", b""))
        for size in range(1, len(tail)):
            with self.assertRaises(ProtocolError):
                protocol.decode_request_tail(tail[:size])


if __name__ == "__main__":
    unittest.main()
