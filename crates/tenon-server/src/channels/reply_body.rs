//! The body of an answer: whole, or piece by piece as its service sends it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::body::{BodyError, BodyPieces, BodyStream};

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum ReplyBody {
    /// All of it.
    Whole(Bytes),
    /// What is there already, and what follows.
    Pieces(Bytes, BodyPieces),
}

impl ReplyBody {
    /// A body that begins with these bytes and goes on with a stream, if there is one that nobody took.
    pub(super) fn new(bytes: Bytes, stream: Option<&BodyStream>) -> Self {
        match stream.and_then(BodyStream::take) {
            Some(pieces) => Self::Pieces(bytes, pieces),
            None => Self::Whole(bytes),
        }
    }

    /// All of it, if it is whole.
    pub(super) fn whole(&self) -> Option<&Bytes> {
        match self {
            Self::Whole(bytes) => Some(bytes),
            Self::Pieces(..) => None,
        }
    }
}

impl<T: Into<Bytes>> From<T> for ReplyBody {
    fn from(bytes: T) -> Self {
        Self::Whole(bytes.into())
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let (Self::Whole(bytes) | Self::Pieces(bytes, _)) = this;
        if !bytes.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))));
        }
        match this {
            Self::Whole(_) => Poll::Ready(None),
            // An error breaks the connection off, so that the caller does not take what came for the whole.
            Self::Pieces(_, pieces) => pieces
                .poll_recv(context)
                .map(|piece| piece.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.whole().is_some_and(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Pieces(..) => SizeHint::default(),
        }
    }
}
