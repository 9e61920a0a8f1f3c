//! Bodies in pieces, in and out, as fast as the other side takes them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::Value;
use tenon_protocol::worker::{CHUNK_BYTES_MAX, ChunkFrame, Kind, Message, STREAM_WINDOW_BYTES, Violation, chunk_cost};
use tokio::sync::Notify;

use crate::call::Call;
use crate::error::Error;
use crate::input::{Input, Source};
use crate::link::lock;

/// Credit is granted in parts of this size while there is more to read.
const GRANT_BYTES: usize = STREAM_WINDOW_BYTES / 4;

/// The body of a request, read while it arrives. A handler that takes it runs as soon as the request's head is there, and the
/// client is slowed down to the speed at which the handler reads.
///
/// The channel has to have `stream: true`; over any other one the body is a single piece.
///
/// ```
/// # use tenon_sdk::{BodyStream, Context, Error};
/// async fn count_lines(_: Context, mut body: BodyStream) -> Result<usize, Error> {
///     let mut lines = 0;
///     while let Some(piece) = body.next().await? {
///         lines += piece.iter().filter(|byte| **byte == b'\n').count();
///     }
///     Ok(lines)
/// }
/// ```
pub struct BodyStream {
    call: Arc<Call>,
    first: Option<Bytes>,
}

impl BodyStream {
    /// The next piece; none at the end. An error if the client went away or the body grew beyond the channel's limit.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        match &self.call.incoming {
            None => Ok(None),
            Some(incoming) => incoming.next(&self.call).await,
        }
    }

    /// All that is left in one piece. An error with status 413 if it is more than `limit_bytes`.
    pub async fn read_to_end(&mut self, limit_bytes: usize) -> Result<Bytes, Error> {
        let mut all = Vec::new();
        while let Some(piece) = self.next().await? {
            if all.len() + piece.len() > limit_bytes {
                return Err(Error::new(413, format!("The body is longer than {limit_bytes} bytes")));
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.into())
    }
}

impl Input for BodyStream {
    const STREAMS: bool = true;

    fn schema() -> Option<Value> {
        None
    }

    fn read(source: Source<'_>) -> Result<Self, Error> {
        let call = source.0.clone();
        let first = (!call.came().is_empty()).then(|| call.came().clone());
        Ok(Self { call, first })
    }
}

impl fmt::Debug for BodyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyStream")
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}

/// Chunks of a request that wait for their reader.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    state: Mutex<Pieces>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Pieces {
    chunks: VecDeque<ChunkFrame>,
    /// What the sender has used of its credit.
    used: usize,
    /// What was read and not granted anew yet.
    to_grant: usize,
    ended: bool,
}

impl Incoming {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes a chunk from the server.
    pub(crate) fn push(&self, chunk: ChunkFrame) -> Result<(), Violation> {
        let mut state = lock(&self.state);
        state.used += chunk.cost();
        if state.ended || state.used > STREAM_WINDOW_BYTES {
            let part = if state.ended { "place after the last" } else { "credit" };
            return Err(Violation::Malformed {
                kind: Kind::Chunk,
                part,
                source: None,
            });
        }
        state.ended = chunk.ends();
        state.chunks.push_back(chunk);
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    async fn next(&self, call: &Call) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(result) = self.take(call) {
                return result;
            }
            self.arrived.notified().await;
        }
    }

    /// What there is; none if that is to be waited for.
    fn take(&self, call: &Call) -> Option<Result<Option<Bytes>, Error>> {
        let mut state = lock(&self.state);
        let Some(chunk) = state.chunks.pop_front() else {
            return state.ended.then_some(Ok(None));
        };
        state.to_grant += chunk.cost();
        let is_last = chunk.ends();
        if !is_last && (state.chunks.is_empty() || state.to_grant >= GRANT_BYTES) {
            let granted = std::mem::take(&mut state.to_grant);
            state.used -= granted;
            call.link
                .push_bare(Kind::Credit, call.id, u32::try_from(granted).unwrap_or(u32::MAX));
        }
        if chunk.is_error {
            let status = if chunk.status == 0 { 400 } else { chunk.status };
            return Some(Err(Error::new(status, String::from_utf8_lossy(&chunk.body))));
        }
        if chunk.body.is_empty() {
            return Some(Ok(None));
        }
        Some(Ok(Some(chunk.body)))
    }
}

/// How much of an answer in chunks may be sent.
#[derive(Debug)]
pub(crate) struct Credit {
    left: Mutex<usize>,
    granted: Notify,
}

impl Credit {
    pub(crate) fn new() -> Self {
        Self {
            left: Mutex::new(STREAM_WINDOW_BYTES),
            granted: Notify::new(),
        }
    }

    /// The server has room for so much more.
    pub(crate) fn grant(&self, bytes: u32) -> Result<(), Violation> {
        let mut left = lock(&self.left);
        *left = left.saturating_add(usize::try_from(bytes).unwrap_or(usize::MAX));
        if *left > STREAM_WINDOW_BYTES {
            return Err(Violation::Malformed {
                kind: Kind::Credit,
                part: "number of bytes",
                source: None,
            });
        }
        drop(left);
        self.granted.notify_one();
        Ok(())
    }

    async fn take(&self, cost: usize) {
        while !self.try_take(cost) {
            self.granted.notified().await;
        }
    }

    fn try_take(&self, cost: usize) -> bool {
        let mut left = lock(&self.left);
        let enough = *left >= cost;
        if enough {
            *left -= cost;
        }
        enough
    }
}

/// Where a handler writes an answer that it makes piece by piece; see [`Body::write_with`](crate::Body::write_with).
#[derive(Debug)]
pub struct BodyWriter {
    call: Arc<Call>,
}

impl BodyWriter {
    pub(crate) fn new(call: Arc<Call>) -> Self {
        Self { call }
    }

    /// Sends a piece, as soon as the client has taken enough of what was sent before.
    pub async fn write(&mut self, piece: impl Into<Bytes>) -> Result<(), Error> {
        let mut rest = piece.into();
        while !rest.is_empty() {
            let part = rest.split_to(rest.len().min(CHUNK_BYTES_MAX));
            self.call.credit.take(chunk_cost(part.len())).await;
            let chunk = ChunkFrame {
                id: self.call.id,
                is_last: false,
                is_error: false,
                status: 0,
                body: part,
            };
            self.call.link.send(&Message::Chunk(chunk).into_frame()).await?;
        }
        Ok(())
    }
}
