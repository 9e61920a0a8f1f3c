//! Bodies that come or go piece by piece, because they are too large to be held whole.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;

/// Why a streamed body ended before its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Whoever sends it went away or failed.
    #[error("the body was cut off: {0}")]
    CutOff(String),
    /// It is larger than it may be.
    #[error("the body has more than {0} bytes")]
    TooLarge(u64),
}

/// The pieces of a body, in their order; after an error comes nothing more.
pub type BodyPieces = mpsc::Receiver<Result<Bytes, BodyError>>;

/// A body that is read once, by whoever takes it. Cloning shares it; the queue of its pieces is bounded, so that a reader that
/// is slow slows down the sender.
#[derive(Clone)]
pub struct BodyStream(Arc<Mutex<Option<BodyPieces>>>);

impl BodyStream {
    /// A body of these pieces.
    pub fn new(pieces: BodyPieces) -> Self {
        Self(Arc::new(Mutex::new(Some(pieces))))
    }

    /// The pieces, for the first who asks.
    pub fn take(&self) -> Option<BodyPieces> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for BodyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyStream")
    }
}
