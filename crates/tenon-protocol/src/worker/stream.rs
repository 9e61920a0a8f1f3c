//! Bodies in pieces: chunks, and the credit that keeps their sender from running ahead of their reader.

use bytes::Bytes;

use super::frame::{FLAG_END, FLAG_ERROR, Frame, Kind, Violation};
use super::message::flag;

/// How much of a body may be sent before any credit was granted.
pub const STREAM_WINDOW_BYTES: usize = 256 << 10;

/// The largest chunk.
pub const CHUNK_BYTES_MAX: usize = 64 << 10;

/// What even the smallest chunk takes of the credit, so that its reader need not keep thousands of tiny ones.
pub const CHUNK_COST_MIN: usize = 1 << 10;

/// What a chunk of this length takes of the credit, and what is granted anew once it was read. An empty one costs nothing.
pub fn chunk_cost(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { bytes.max(CHUNK_COST_MIN) }
}

/// A piece of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkFrame {
    /// The request to whose body or answer it belongs.
    pub id: u64,
    /// Whether nothing follows.
    pub is_last: bool,
    /// Whether the body was cut off here: then nothing follows, and the body of the frame says why, as text.
    pub is_error: bool,
    /// Of a body that was cut off: the status that says why, such as 413; 0 for none.
    pub status: u16,
    /// The piece. Only the last one may be empty.
    pub body: Bytes,
}

impl ChunkFrame {
    /// What it takes of the credit: the text of an error takes nothing.
    pub fn cost(&self) -> usize {
        if self.is_error { 0 } else { chunk_cost(self.body.len()) }
    }

    /// Whether nothing follows, be it the end or an error.
    pub fn ends(&self) -> bool {
        self.is_last || self.is_error
    }

    pub(super) fn from_frame(frame: Frame) -> Result<Self, Violation> {
        let chunk = Self {
            id: frame.id,
            is_last: frame.has(FLAG_END),
            is_error: frame.has(FLAG_ERROR),
            status: frame.code,
            body: frame.body,
        };
        if chunk.body.len() > CHUNK_BYTES_MAX || (chunk.body.is_empty() && !chunk.ends()) {
            return Err(Violation::Malformed {
                kind: Kind::Chunk,
                part: "length",
                source: None,
            });
        }
        Ok(chunk)
    }

    pub(super) fn into_frame(self) -> Frame {
        Frame {
            code: self.status,
            flags: flag(self.is_last, FLAG_END) | flag(self.is_error, FLAG_ERROR),
            body: self.body,
            ..Frame::bare(Kind::Chunk, self.id)
        }
    }
}
