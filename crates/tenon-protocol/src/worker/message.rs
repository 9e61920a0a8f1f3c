//! What frames mean.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::frame::{FLAG_ERROR, FLAG_JSON, Frame, Kind, Limits, Violation, encode_head};
use super::hello::Hello;

/// A frame understood. Tails of requests and replies stay bytes until asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A call of a service.
    Request(RequestFrame),
    /// Its answer.
    Reply(ReplyFrame),
    /// A service asks something of the platform.
    HostCall(HostCallFrame),
    /// What the platform answers.
    HostReturn(HostReturnFrame),
    /// The answer to a host call takes a while.
    Later {
        /// The request.
        id: u64,
        /// The host call.
        call: u32,
    },
    /// Nobody waits for the request any more.
    Cancel {
        /// The request.
        id: u64,
    },
    /// Finish and exit.
    Drain,
    /// What the worker is and has.
    Hello(Hello),
    /// A sign of life.
    Ping {
        /// Comes back with the same number.
        id: u64,
    },
    /// A line for the log.
    Log(LogLine),
}

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
    /// The payload.
    pub body: Bytes,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyFrame {
    /// The request.
    pub id: u64,
    /// Its status, 200 if the worker named none.
    pub status: u16,
    /// Whether the body is JSON.
    pub body_is_json: bool,
    /// Whether an exception escaped; then the body is [`Raised`].
    pub is_error: bool,
    /// [`ReplyHead`] as JSON, or empty.
    pub head: Bytes,
    /// The body.
    pub body: Bytes,
}

impl ReplyFrame {
    /// The media type and the headers.
    pub fn head(&self) -> Result<ReplyHead, Violation> {
        if self.head.is_empty() {
            return Ok(ReplyHead::default());
        }
        parse(Kind::Reply, "tail", &self.head)
    }

    /// The exception, of a reply that is an error.
    pub fn raised(&self) -> Result<Raised, Violation> {
        parse(Kind::Reply, "body", &self.body)
    }
}

/// What a service set beside the body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyHead {
    /// The media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Further headers: a text, or a list of texts for a header that repeats.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub headers: Map<String, Value>,
}

/// An exception that nobody caught.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raised {
    /// The exception's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its message.
    #[serde(default)]
    pub message: String,
    /// Where it was raised.
    #[serde(default)]
    pub traceback: String,
    /// The correlation id.
    #[serde(default)]
    pub cid: String,
}

/// A service asks something of the platform.
#[derive(Debug, Clone, PartialEq)]
pub struct HostCallFrame {
    /// The request that asks.
    pub id: u64,
    /// The worker's number of the host call.
    pub call: u32,
    /// What it asks: `{"op": "invoke", …}`.
    pub request: Map<String, Value>,
    /// Raw data that goes with it.
    pub body: Bytes,
}

/// What the platform answers.
#[derive(Debug, Clone, PartialEq)]
pub struct HostReturnFrame {
    /// The request that asked.
    pub id: u64,
    /// The worker's number of the host call.
    pub call: u32,
    /// 0 if it went well; else a status.
    pub code: u16,
    /// JSON, or empty.
    pub tail: Bytes,
    /// Raw data that goes with it.
    pub body: Bytes,
}

/// A line for the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// `debug`, `info`, `warning`, `error` or `critical`, in any case.
    #[serde(default)]
    pub level: String,
    /// The logger's name.
    #[serde(default)]
    pub logger: String,
    /// The text.
    #[serde(default)]
    pub message: String,
    /// The correlation id of the call that logs; empty outside calls.
    #[serde(default)]
    pub cid: Option<String>,
    /// The service that logs; empty outside calls.
    #[serde(default)]
    pub service: Option<String>,
}

impl Message {
    /// Understands a frame.
    pub fn from_frame(frame: Frame) -> Result<Self, Violation> {
        Ok(match frame.kind {
            Kind::Request => Message::Request(request(frame)?),
            Kind::Reply => Message::Reply(ReplyFrame {
                id: frame.id,
                status: if frame.code == 0 { 200 } else { frame.code },
                body_is_json: frame.has(FLAG_JSON),
                is_error: frame.has(FLAG_ERROR),
                head: frame.tail,
                body: frame.body,
            }),
            Kind::HostCall => Message::HostCall(HostCallFrame {
                id: frame.id,
                call: frame.call,
                request: parse(Kind::HostCall, "tail", &frame.tail)?,
                body: frame.body,
            }),
            Kind::HostReturn => Message::HostReturn(HostReturnFrame {
                id: frame.id,
                call: frame.call,
                code: frame.code,
                tail: frame.tail,
                body: frame.body,
            }),
            Kind::Later => Message::Later {
                id: frame.id,
                call: frame.call,
            },
            Kind::Cancel => Message::Cancel { id: frame.id },
            Kind::Drain => Message::Drain,
            Kind::Hello => Message::Hello(Hello::parse(&frame.body)?),
            Kind::Ping => Message::Ping { id: frame.id },
            Kind::Log => Message::Log(parse(Kind::Log, "body", &frame.body)?),
        })
    }

    /// The frame that says this.
    pub fn into_frame(self) -> Frame {
        match self {
            Message::Request(request) => request.into_frame(),
            Message::Reply(reply) => Frame {
                code: reply.status,
                flags: flag(reply.body_is_json, FLAG_JSON) | flag(reply.is_error, FLAG_ERROR),
                tail: reply.head,
                body: reply.body,
                ..Frame::bare(Kind::Reply, reply.id)
            },
            Message::HostCall(call) => Frame {
                call: call.call,
                tail: json(&call.request),
                body: call.body,
                ..Frame::bare(Kind::HostCall, call.id)
            },
            Message::HostReturn(answer) => Frame {
                call: answer.call,
                code: answer.code,
                tail: answer.tail,
                body: answer.body,
                ..Frame::bare(Kind::HostReturn, answer.id)
            },
            Message::Later { id, call } => Frame {
                call,
                ..Frame::bare(Kind::Later, id)
            },
            Message::Cancel { id } => Frame::bare(Kind::Cancel, id),
            Message::Drain => Frame::bare(Kind::Drain, 0),
            Message::Hello(hello) => Frame {
                flags: FLAG_JSON,
                body: json(&hello),
                ..Frame::bare(Kind::Hello, 0)
            },
            Message::Ping { id } => Frame::bare(Kind::Ping, id),
            Message::Log(line) => Frame {
                flags: FLAG_JSON,
                body: json(&line),
                ..Frame::bare(Kind::Log, 0)
            },
        }
    }
}

impl RequestFrame {
    fn into_frame(self) -> Frame {
        let mut tail = BytesMut::with_capacity(10 + self.cid.len() + self.metadata.len());
        tail.put_u64_le(self.deadline_ns);
        tail.put_u16_le(u16::try_from(self.cid.len()).unwrap_or(u16::MAX));
        tail.extend_from_slice(&self.cid);
        tail.extend_from_slice(&self.metadata);
        Frame {
            code: self.service,
            flags: flag(self.body_is_json, FLAG_JSON),
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
        flags: flag(head.body_is_json, FLAG_JSON),
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

/// Appends a host return up to its body.
pub fn encode_host_return(answer: &HostReturnFrame, buffer: &mut BytesMut, limits: &Limits) -> Result<(), Violation> {
    let frame = Frame {
        call: answer.call,
        code: answer.code,
        ..Frame::bare(Kind::HostReturn, answer.id)
    };
    encode_head(&frame, answer.body.len(), buffer, limits, |tail| {
        tail.extend_from_slice(&answer.tail);
        Ok(())
    })
}

fn request(frame: Frame) -> Result<RequestFrame, Violation> {
    let wrong = |part| Violation::Malformed {
        kind: Kind::Request,
        part,
        source: None,
    };
    let body_is_json = frame.has(FLAG_JSON);
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
        body: frame.body,
    })
}

fn flag(set: bool, flag: u8) -> u8 {
    if set { flag } else { 0 }
}

fn parse<'a, T: Deserialize<'a>>(kind: Kind, part: &'static str, bytes: &'a [u8]) -> Result<T, Violation> {
    serde_json::from_slice(bytes).map_err(|source| Violation::Malformed {
        kind,
        part,
        source: Some(source),
    })
}

fn json<T: Serialize>(value: &T) -> Bytes {
    let text = serde_json::to_vec(value).expect("the messages of this module have text keys and no failing fields");
    Bytes::from(text)
}

fn write_json<T: Serialize>(kind: Kind, value: &T, buffer: &mut BytesMut) -> Result<(), Violation> {
    serde_json::to_writer(buffer.writer(), value).map_err(|source| Violation::Malformed {
        kind,
        part: "metadata",
        source: Some(source),
    })
}
