//! Bodies that come or go piece by piece, because they are too large to be held whole.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
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

/// The pieces of a body, in their order; after an error comes nothing more. A body that ends without one is whole: whoever sends
/// it must say so if it is not.
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

    /// The whole body behind `start`, of at most `limit` bytes.
    pub async fn gather(&self, start: Bytes, limit: usize) -> Result<Bytes, BodyError> {
        let Some(mut pieces) = self.take() else {
            return Err(BodyError::CutOff("it was read before".to_owned()));
        };
        let mut whole = BytesMut::from(start);
        while let Some(piece) = pieces.recv().await {
            let piece = piece?;
            if whole.len() + piece.len() > limit {
                return Err(BodyError::TooLarge(limit as u64));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }
}

impl fmt::Debug for BodyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyStream")
    }
}
