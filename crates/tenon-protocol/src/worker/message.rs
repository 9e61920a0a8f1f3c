//! What frames mean.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::frame::{FLAG_ERROR, FLAG_JSON, FLAG_STREAM, Frame, Kind, Limits, Violation, encode_head};
use super::hello::Hello;
use super::report::{LogLine, Metric};
use super::request::{RequestFrame, request};
use super::stream::ChunkFrame;

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
    /// The user configuration, as JSON: `{"version": 3, "files": {"FILE": {"SECTION": {"KEY": …}}}}`.
    Config(Bytes),
    /// A measurement that a service made.
    Metric(Metric),
    /// A piece of a body.
    Chunk(ChunkFrame),
    /// The reader of a streamed body has room for more.
    Credit {
        /// The request to whose body or answer it belongs.
        id: u64,
        /// How much more the sender may send.
        bytes: u32,
    },
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
    /// Whether chunks follow the body.
    pub is_stream: bool,
    /// [`ReplyHead`] as JSON, or empty.
    pub head: Bytes,
    /// The body, or its beginning.
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
    /// Whether the body is JSON.
    pub body_is_json: bool,
    /// What goes with it.
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
    /// Whether the body is JSON.
    pub body_is_json: bool,
    /// What goes with it.
    pub body: Bytes,
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
                is_stream: frame.has(FLAG_STREAM),
                head: frame.tail,
                body: frame.body,
            }),
            Kind::HostCall => Message::HostCall(HostCallFrame {
                id: frame.id,
                call: frame.call,
                request: parse(Kind::HostCall, "tail", &frame.tail)?,
                body_is_json: frame.has(FLAG_JSON),
                body: frame.body,
            }),
            Kind::HostReturn => Message::HostReturn(HostReturnFrame {
                id: frame.id,
                call: frame.call,
                code: frame.code,
                body_is_json: frame.has(FLAG_JSON),
                tail: frame.tail,
                body: frame.body,
            }),
            Kind::Cancel => Message::Cancel { id: frame.id },
            Kind::Drain => Message::Drain,
            Kind::Hello => Message::Hello(Hello::parse(&frame.body)?),
            Kind::Ping => Message::Ping { id: frame.id },
            Kind::Log => Message::Log(parse(Kind::Log, "body", &frame.body)?),
            Kind::Config => Message::Config(frame.body),
            Kind::Metric => Message::Metric(parse(Kind::Metric, "body", &frame.body)?),
            Kind::Chunk => Message::Chunk(ChunkFrame::from_frame(frame)?),
            Kind::Credit => Message::Credit {
                id: frame.id,
                bytes: frame.call,
            },
        })
    }

    /// The frame that says this.
    pub fn into_frame(self) -> Frame {
        match self {
            Message::Request(request) => request.into_frame(),
            Message::Reply(reply) => Frame {
                code: reply.status,
                flags: flag(reply.body_is_json, FLAG_JSON)
                    | flag(reply.is_error, FLAG_ERROR)
                    | flag(reply.is_stream, FLAG_STREAM),
                tail: reply.head,
                body: reply.body,
                ..Frame::bare(Kind::Reply, reply.id)
            },
            Message::HostCall(call) => Frame {
                call: call.call,
                flags: flag(call.body_is_json, FLAG_JSON),
                tail: json(&call.request),
                body: call.body,
                ..Frame::bare(Kind::HostCall, call.id)
            },
            Message::HostReturn(answer) => Frame {
                call: answer.call,
                code: answer.code,
                flags: flag(answer.body_is_json, FLAG_JSON),
                tail: answer.tail,
                body: answer.body,
                ..Frame::bare(Kind::HostReturn, answer.id)
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
            Message::Config(body) => Frame {
                flags: FLAG_JSON,
                body,
                ..Frame::bare(Kind::Config, 0)
            },
            Message::Metric(metric) => Frame {
                flags: FLAG_JSON,
                body: json(&metric),
                ..Frame::bare(Kind::Metric, 0)
            },
            Message::Chunk(chunk) => chunk.into_frame(),
            Message::Credit { id, bytes } => Frame {
                call: bytes,
                ..Frame::bare(Kind::Credit, id)
            },
        }
    }
}

/// Appends a host return up to its body.
pub fn encode_host_return(answer: &HostReturnFrame, buffer: &mut BytesMut, limits: &Limits) -> Result<(), Violation> {
    let frame = Frame {
        call: answer.call,
        code: answer.code,
        flags: flag(answer.body_is_json, FLAG_JSON),
        ..Frame::bare(Kind::HostReturn, answer.id)
    };
    encode_head(&frame, answer.body.len(), buffer, limits, |tail| {
        tail.extend_from_slice(&answer.tail);
        Ok(())
    })
}

/// The flag, if it is set.
pub(super) fn flag(set: bool, flag: u8) -> u8 {
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
