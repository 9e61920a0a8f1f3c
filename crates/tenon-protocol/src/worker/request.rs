//! A call of a service as a frame.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Serialize;

use super::frame::{FLAG_JSON, FLAG_STREAM, Frame, Kind, Limits, Violation, encode_head};
use super::message::flag;

/// A call of a service, as the worker reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestFrame {
    /// The server's number of the request.
    pub id: u64,
    /// The index of the service in the hello.
    pub service: u16,
    /// When the caller stops waiting: `CLOCK_MONOTONIC` in nanoseconds; 0 for never.
    pub deadline_ns: u64,
    /// The correlation id.
    pub cid: Bytes,
    /// JSON, or empty.
    pub metadata: Bytes,
    /// Whether the body is JSON.
    pub body_is_json: bool,
    /// Whether chunks follow the body.
    pub is_stream: bool,
    /// The payload, or its beginning.
    pub body: Bytes,
}

impl RequestFrame {
    pub(super) fn into_frame(self) -> Frame {
        let mut tail = BytesMut::with_capacity(10 + self.cid.len() + self.metadata.len());
        tail.put_u64_le(self.deadline_ns);
        tail.put_u16_le(u16::try_from(self.cid.len()).unwrap_or(u16::MAX));
        tail.extend_from_slice(&self.cid);
        tail.extend_from_slice(&self.metadata);
        Frame {
            code: self.service,
            flags: flag(self.body_is_json, FLAG_JSON) | flag(self.is_stream, FLAG_STREAM),
            tail: tail.freeze(),
            body: self.body,
            ..Frame::bare(Kind::Request, self.id)
        }
    }
}

/// What a request says before its metadata.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// The server's number of the request.
    pub id: u64,
    /// The index of the service in the hello.
    pub service: u16,
    /// When the caller stops waiting: `CLOCK_MONOTONIC` in nanoseconds; 0 for never.
    pub deadline_ns: u64,
    /// The correlation id.
    pub cid: &'a str,
    /// Whether the body is JSON.
    pub body_is_json: bool,
    /// Whether chunks follow the body.
    pub is_stream: bool,
    /// How long the body is that the caller sends after this.
    pub body_bytes: usize,
}

/// Appends a request up to its body, without building it as a value first.
pub fn encode_request<M: Serialize>(
    head: RequestHead<'_>,
    metadata: Option<&M>,
    buffer: &mut BytesMut,
    limits: &Limits,
) -> Result<(), Violation> {
    let frame = Frame {
        code: head.service,
        flags: flag(head.body_is_json, FLAG_JSON) | flag(head.is_stream, FLAG_STREAM),
        ..Frame::bare(Kind::Request, head.id)
    };
    encode_head(&frame, head.body_bytes, buffer, limits, |tail| {
        let cid_bytes = u16::try_from(head.cid.len()).map_err(|_| Violation::Malformed {
            kind: Kind::Request,
            part: "correlation id",
            source: None,
        })?;
        tail.put_u64_le(head.deadline_ns);
        tail.put_u16_le(cid_bytes);
        tail.extend_from_slice(head.cid.as_bytes());
        metadata.map_or(Ok(()), |metadata| write_json(Kind::Request, metadata, tail))
    })
}

/// Understands a request.
pub(super) fn request(frame: Frame) -> Result<RequestFrame, Violation> {
    let wrong = |part| Violation::Malformed {
        kind: Kind::Request,
        part,
        source: None,
    };
    let (body_is_json, is_stream) = (frame.has(FLAG_JSON), frame.has(FLAG_STREAM));
    let mut tail = frame.tail;
    if tail.len() < 10 {
        return Err(wrong("tail"));
    }
    let deadline_ns = tail.get_u64_le();
    let cid_bytes = usize::from(tail.get_u16_le());
    if tail.len() < cid_bytes {
        return Err(wrong("correlation id"));
    }
    let cid = tail.split_to(cid_bytes);
    Ok(RequestFrame {
        id: frame.id,
        service: frame.code,
        deadline_ns,
        cid,
        metadata: tail,
        body_is_json,
        is_stream,
        body: frame.body,
    })
}

fn write_json<T: Serialize>(kind: Kind, value: &T, buffer: &mut BytesMut) -> Result<(), Violation> {
    serde_json::to_writer(Sink(buffer), value).map_err(|source| Violation::Malformed {
        kind,
        part: "metadata",
        source: Some(source),
    })
}

/// Takes text in the many small pieces in which it is written; the writer that buffers come with looks longer at each of them.
struct Sink<'a>(&'a mut BytesMut);

impl io::Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
