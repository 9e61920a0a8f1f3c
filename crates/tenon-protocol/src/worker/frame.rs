//! Frames as bytes and back, whatever they mean.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The two lengths in front of a header.
pub const LENGTHS_BYTES: usize = 8;

/// The part of the header that every frame has.
pub const FIXED_HEADER_BYTES: usize = 16;

/// The body is JSON.
pub const FLAG_JSON: u8 = 1;

/// The reply tells of an exception that nobody caught; the body of a stream was cut off.
pub const FLAG_ERROR: u8 = 2;

/// The last piece of a body that is streamed.
pub const FLAG_END: u8 = 4;

/// The body goes on in chunks.
pub const FLAG_STREAM: u8 = 8;

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A call of a service.
    Request = 0,
    /// Its answer.
    Reply = 1,
    /// A service asks something of the platform.
    HostCall = 2,
    /// What the platform answers.
    HostReturn = 3,
    /// Nobody waits for the request any more.
    Cancel = 5,
    /// Finish and exit.
    Drain = 6,
    /// What the worker is and has.
    Hello = 7,
    /// A sign of life, sent back as it is.
    Ping = 8,
    /// A line for the log.
    Log = 9,
    /// The user configuration.
    Config = 10,
    /// A measurement that a service made.
    Metric = 11,
    /// A piece of a body that is streamed.
    Chunk = 12,
    /// How much more of a streamed body may be sent.
    Credit = 13,
}

impl Kind {
    /// All kinds, by number.
    pub const ALL: [Kind; 13] = [
        Kind::Request,
        Kind::Reply,
        Kind::HostCall,
        Kind::HostReturn,
        Kind::Cancel,
        Kind::Drain,
        Kind::Hello,
        Kind::Ping,
        Kind::Log,
        Kind::Config,
        Kind::Metric,
        Kind::Chunk,
        Kind::Credit,
    ];
}

impl TryFrom<u8> for Kind {
    type Error = Violation;

    fn try_from(number: u8) -> Result<Self, Violation> {
        let index = match number {
            0..4 => number,
            5.. => number - 1,
            // There was such a kind.
            4 => return Err(Violation::UnknownKind(number)),
        };
        Kind::ALL
            .get(usize::from(index))
            .copied()
            .ok_or(Violation::UnknownKind(number))
    }
}

/// A frame taken apart; tail and body share the memory they were read into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is for.
    pub kind: Kind,
    /// [`FLAG_JSON`], [`FLAG_ERROR`], [`FLAG_END`], [`FLAG_STREAM`].
    pub flags: u8,
    /// A service's index or a status.
    pub code: u16,
    /// The number of a host call, or of bytes.
    pub call: u32,
    /// The request it belongs to.
    pub id: u64,
    /// What follows the fixed header.
    pub tail: Bytes,
    /// The body.
    pub body: Bytes,
}

impl Frame {
    /// A frame without tail and body.
    pub fn bare(kind: Kind, id: u64) -> Self {
        Self {
            kind,
            flags: 0,
            code: 0,
            call: 0,
            id,
            tail: Bytes::new(),
            body: Bytes::new(),
        }
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// How large the parts of a frame may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The header with its tail.
    pub header_bytes: usize,
    /// The body.
    pub body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 1 << 20,
            body_bytes: 64 << 20,
        }
    }
}

/// A broken rule of the protocol. The connection can't go on.
#[derive(Debug, thiserror::Error)]
pub enum Violation {
    /// A header longer than the limit.
    #[error("a header of {size} bytes, more than {limit}")]
    HeaderTooLong {
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// A header without room for its fixed part.
    #[error("a header of {0} bytes, fewer than {FIXED_HEADER_BYTES}")]
    HeaderTooShort(usize),
    /// A body longer than the limit.
    #[error("a body of {size} bytes, more than {limit}")]
    BodyTooLong {
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// A kind that this version does not know.
    #[error("a frame of the unknown kind {0}")]
    UnknownKind(u8),
    /// A frame whose parts are not what its kind says.
    #[error("a {kind:?} frame whose {part} is wrong")]
    Malformed {
        /// The frame's kind.
        kind: Kind,
        /// Which part.
        part: &'static str,
        /// What the parser says, if one was asked.
        #[source]
        source: Option<serde_json::Error>,
    },
    /// A version that this side does not speak.
    #[error("version {0} of the protocol; this side speaks {version}", version = super::PROTOCOL_VERSION)]
    Version(u32),
}

/// Takes the next whole frame out of `buffer`; none if it is not all there yet.
///
/// Nothing larger than the limits is ever reserved, and a frame that breaks them is noticed as soon as its lengths are read.
pub fn decode(buffer: &mut BytesMut, limits: &Limits) -> Result<Option<Frame>, Violation> {
    let Some((header_bytes, body_bytes)) = lengths(buffer) else {
        return Ok(None);
    };
    if header_bytes > limits.header_bytes {
        return Err(Violation::HeaderTooLong {
            size: header_bytes,
            limit: limits.header_bytes,
        });
    }
    if header_bytes < FIXED_HEADER_BYTES {
        return Err(Violation::HeaderTooShort(header_bytes));
    }
    if body_bytes > limits.body_bytes {
        return Err(Violation::BodyTooLong {
            size: body_bytes,
            limit: limits.body_bytes,
        });
    }
    // Look at the kind before waiting for the rest, so that garbage is noticed early.
    let kind = match buffer.get(LENGTHS_BYTES) {
        Some(number) => Kind::try_from(*number)?,
        None => return Ok(None),
    };
    let whole = LENGTHS_BYTES + header_bytes + body_bytes;
    if buffer.len() < whole {
        buffer.reserve(whole - buffer.len());
        return Ok(None);
    }
    let mut bytes = buffer.split_to(whole).freeze();
    bytes.advance(LENGTHS_BYTES + 1);
    let flags = bytes.get_u8();
    let code = bytes.get_u16_le();
    let call = bytes.get_u32_le();
    let id = bytes.get_u64_le();
    let tail = bytes.split_to(header_bytes - FIXED_HEADER_BYTES);
    Ok(Some(Frame {
        kind,
        flags,
        code,
        call,
        id,
        tail,
        body: bytes,
    }))
}

fn lengths(buffer: &BytesMut) -> Option<(usize, usize)> {
    let (header, rest) = buffer.split_first_chunk::<4>()?;
    let (body, _) = rest.split_first_chunk::<4>()?;
    let wide = |bytes: &[u8; 4]| usize::try_from(u32::from_le_bytes(*bytes)).unwrap_or(usize::MAX);
    Some((wide(header), wide(body)))
}

/// Appends a whole frame.
pub fn encode(frame: &Frame, buffer: &mut BytesMut, limits: &Limits) -> Result<(), Violation> {
    encode_head(frame, frame.body.len(), buffer, limits, |tail| {
        tail.extend_from_slice(&frame.tail);
        Ok(())
    })?;
    buffer.extend_from_slice(&frame.body);
    Ok(())
}

/// Appends a frame up to its body, whose `body_bytes` the caller sends itself. `write_tail` writes the tail in place of the
/// frame's own. If it fails or a limit is broken, `buffer` is as it was.
pub fn encode_head(
    frame: &Frame,
    body_bytes: usize,
    buffer: &mut BytesMut,
    limits: &Limits,
    write_tail: impl FnOnce(&mut BytesMut) -> Result<(), Violation>,
) -> Result<(), Violation> {
    if body_bytes > limits.body_bytes {
        return Err(Violation::BodyTooLong {
            size: body_bytes,
            limit: limits.body_bytes,
        });
    }
    let start = buffer.len();
    buffer.put_u32_le(0);
    buffer.put_u32_le(u32::try_from(body_bytes).unwrap_or(u32::MAX));
    buffer.put_u8(frame.kind as u8);
    buffer.put_u8(frame.flags);
    buffer.put_u16_le(frame.code);
    buffer.put_u32_le(frame.call);
    buffer.put_u64_le(frame.id);
    let written = write_tail(buffer).and_then(|()| {
        let size = buffer.len() - start - LENGTHS_BYTES;
        if size > limits.header_bytes {
            return Err(Violation::HeaderTooLong {
                size,
                limit: limits.header_bytes,
            });
        }
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        buffer[start..start + 4].copy_from_slice(&size.to_le_bytes());
        Ok(())
    });
    if written.is_err() {
        buffer.truncate(start);
    }
    written
}
