//! Bodies in chunks: the rest of a request on its way to a worker, the rest of an answer on its way from it.
//!
//! What the other side has not read stays with its sender, apart from the window that the protocol allows. So a worker that is
//! slow slows down the client that sends, and a client that is slow the service that answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use tenon_protocol::worker::{
    CHUNK_BYTES_MAX, CHUNK_COST_MIN, ChunkFrame, Kind, Limits, Message, STREAM_WINDOW_BYTES, Violation, chunk_cost,
    encode_head,
};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::connection::Connection;
use super::worker::Shared;
use crate::body::{BodyError, BodyPieces, BodyStream};

/// So many pieces fit into the window, with one for the error after them.
const PIECES_MAX: usize = STREAM_WINDOW_BYTES / CHUNK_COST_MIN + 1;

/// Pieces between the worker and a reader; what is beyond them the worker has no credit for.
const READ_AHEAD: usize = 2;

/// So much is read before the worker is told.
const GRANT_BYTES: usize = STREAM_WINDOW_BYTES / 4;

/// Writes the stream's frames.
#[derive(Debug, Clone)]
pub(crate) struct Frames {
    id: u64,
    connection: Arc<Connection>,
    limits: Limits,
    tasks: TaskTracker,
}

impl Frames {
    pub(crate) fn new(id: u64, connection: &Arc<Connection>, shared: &Shared) -> Self {
        Self {
            id,
            connection: connection.clone(),
            limits: shared.limits,
            tasks: shared.tasks.clone(),
        }
    }

    fn chunk(&self, body: Bytes) -> ChunkFrame {
        ChunkFrame {
            id: self.id,
            is_last: false,
            is_error: false,
            status: 0,
            body,
        }
    }

    /// Sends a frame. One that can't be sent is for a worker that is gone, which its reader notices.
    fn send(&self, message: Message) {
        let mut frame = message.into_frame();
        let body = std::mem::take(&mut frame.body);
        let mut bytes = BytesMut::with_capacity(64);
        if encode_head(&frame, body.len(), &mut bytes, &self.limits, |_| Ok(())).is_ok() {
            self.connection.send(&bytes, &body, &self.tasks);
        }
    }
}

/// The rest of a request, until its call ends.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    credit: Arc<Semaphore>,
    /// Ends the sending with the call.
    _call: Arc<DropGuard>,
}

impl Upload {
    /// What sends the rest of a request, and the sending itself.
    pub(crate) fn new(
        id: u64,
        stream: BodyStream,
        connection: &Arc<Connection>,
        shared: &Shared,
    ) -> (Self, impl Future<Output = ()> + use<>) {
        let credit = Arc::new(Semaphore::new(STREAM_WINDOW_BYTES));
        let ended = CancellationToken::new();
        let frames = Frames::new(id, connection, shared);
        let upload = Self {
            credit: credit.clone(),
            _call: Arc::new(ended.clone().drop_guard()),
        };
        let sending = async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = send_pieces(stream.take(), &frames, &credit) => {}
            }
        };
        (upload, sending)
    }

    /// The worker has read so much more.
    pub(crate) fn grant(&self, bytes: u32) -> Result<(), Violation> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        if self.credit.available_permits().saturating_add(bytes) > STREAM_WINDOW_BYTES {
            return Err(Violation::Malformed {
                kind: Kind::Credit,
                part: "number of bytes: more than were sent",
                source: None,
            });
        }
        self.credit.add_permits(bytes);
        Ok(())
    }
}

async fn send_pieces(pieces: Option<BodyPieces>, frames: &Frames, credit: &Semaphore) {
    let Some(mut pieces) = pieces else {
        let error = BodyError::CutOff("it was read before".to_owned());
        return frames.send(Message::Chunk(failed(frames, &error)));
    };
    let last = loop {
        let mut piece = match pieces.recv().await {
            None => {
                break Message::Chunk(ChunkFrame {
                    is_last: true,
                    ..frames.chunk(Bytes::new())
                });
            }
            Some(Err(error)) => break Message::Chunk(failed(frames, &error)),
            Some(Ok(piece)) => piece,
        };
        while !piece.is_empty() {
            let part = piece.split_to(piece.len().min(CHUNK_BYTES_MAX));
            let cost = u32::try_from(chunk_cost(part.len())).unwrap_or(u32::MAX);
            match credit.acquire_many(cost).await {
                Ok(permit) => permit.forget(),
                Err(_) => return,
            }
            frames.send(Message::Chunk(frames.chunk(part)));
        }
    };
    frames.send(last);
}

fn failed(frames: &Frames, error: &BodyError) -> ChunkFrame {
    ChunkFrame {
        is_error: true,
        status: match error {
            BodyError::TooLarge(_) => 413,
            BodyError::CutOff(_) => 0,
        },
        ..frames.chunk(Bytes::from(error.to_string()))
    }
}

/// The rest of an answer, until it has come.
#[derive(Debug)]
pub(crate) struct Download {
    /// None once it was cut off: what still comes is thrown away.
    pieces: Option<mpsc::Sender<Result<Bytes, BodyError>>>,
    /// What the worker may send.
    credit: Arc<AtomicUsize>,
}

impl Download {
    /// The rest of an answer, the body that its reader gets, and the task between them, which runs until `ended` at most.
    pub(crate) fn new(
        frames: Frames,
        ended: CancellationToken,
    ) -> (Self, BodyStream, impl Future<Output = ()> + use<>) {
        let (pieces, received) = mpsc::channel(PIECES_MAX);
        let (reader, body) = mpsc::channel(READ_AHEAD + 1);
        let credit = Arc::new(AtomicUsize::new(STREAM_WINDOW_BYTES));
        let download = Self {
            pieces: Some(pieces),
            credit: credit.clone(),
        };
        let passing = pass_on(received, reader, frames, credit, ended);
        (download, BodyStream::new(body), passing)
    }

    /// Whether anybody reads it.
    pub(crate) fn is_wanted(&self) -> bool {
        self.pieces.as_ref().is_some_and(|pieces| !pieces.is_closed())
    }

    /// Takes a piece. True if it was the last one.
    pub(crate) fn take(&mut self, chunk: ChunkFrame) -> Result<bool, Violation> {
        let over = |part| Violation::Malformed {
            kind: Kind::Chunk,
            part,
            source: None,
        };
        let ends = chunk.ends();
        let has_credit = self.credit.load(Ordering::SeqCst) >= chunk.cost();
        if !has_credit {
            return Err(over("length: it is beyond the credit"));
        }
        self.credit.fetch_sub(chunk.cost(), Ordering::SeqCst);
        if chunk.is_error {
            self.cut_off(&String::from_utf8_lossy(&chunk.body));
        } else if let Some(pieces) = &self.pieces
            && !chunk.body.is_empty()
            // Its capacity is that of the credit. A reader that left is noticed by the sweep.
            && let Err(mpsc::error::TrySendError::Full(_)) = pieces.try_send(Ok(chunk.body))
        {
            return Err(over("number: there are too many"));
        }
        if ends {
            // The end of the queue is the end of the body.
            self.pieces = None;
        }
        Ok(ends)
    }

    /// Tells the reader that the rest will not come.
    pub(crate) fn cut_off(&mut self, why: &str) {
        if let Some(pieces) = self.pieces.take() {
            let _ = pieces.try_send(Err(BodyError::CutOff(why.to_owned())));
        }
    }
}

/// What is dropped before its end was cut off: a body that just ends would look whole.
impl Drop for Download {
    fn drop(&mut self) {
        self.cut_off("the worker ended");
    }
}

/// Hands the pieces to their reader, and gives the worker credit for those that it took.
async fn pass_on(
    mut received: mpsc::Receiver<Result<Bytes, BodyError>>,
    reader: mpsc::Sender<Result<Bytes, BodyError>>,
    frames: Frames,
    credit: Arc<AtomicUsize>,
    ended: CancellationToken,
) {
    // There is always room for saying that the rest does not come.
    let Ok(last_word) = reader.clone().reserve_owned().await else {
        return;
    };
    let mut read = 0;
    let passing = async {
        while let Some(piece) = received.recv().await {
            let cost = piece.as_ref().map_or(0, |piece| chunk_cost(piece.len()));
            if reader.send(piece).await.is_err() {
                return;
            }
            read += cost;
            if read >= GRANT_BYTES {
                credit.fetch_add(read, Ordering::SeqCst);
                frames.send(Message::Credit {
                    id: frames.id,
                    bytes: u32::try_from(read).unwrap_or(u32::MAX),
                });
                read = 0;
            }
        }
    };
    tokio::select! {
        () = passing => {}
        () = reader.closed() => {}
        () = ended.cancelled() => {
            let _ = last_word.send(Err(BodyError::CutOff("the server stops".to_owned())));
        }
    }
}
