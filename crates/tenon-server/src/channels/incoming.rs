//! The body of a request on its way in: within the channel's limit, inflated if it is compressed, whole or piece by piece.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tenon_connectors::{DataFormat, HttpRoute};
use tenon_model::Problem;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::body::{BodyError, BodyStream};

/// How many compressed bytes are inflated at a time: each may become a thousand.
const INFLATED_AT_ONCE: usize = 512;

/// A body that is still to come.
pub(super) struct Arriving {
    body: Incoming,
    is_empty: bool,
    limit: u64,
    /// Whether anything of it has come.
    has_begun: bool,
    inflater: Option<Box<MultiGzDecoder<Bounded>>>,
    /// What has come and is still to be inflated.
    compressed: Bytes,
}

impl Arriving {
    /// The body of a request to this channel; refused if what its head says of it can't be taken.
    pub(super) fn new(route: &HttpRoute, parts: &Parts, body: Incoming) -> Result<Self, Problem> {
        let limit = route.body_limit_bytes.unwrap_or(u64::MAX);
        let announced = content_length(&parts.headers);
        if announced.is_some_and(|length| length > limit) {
            return Err(too_large(limit));
        }
        let is_empty = announced == Some(0);
        let is_multipart = parts
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"multipart/"));
        if is_multipart && route.data_format == DataFormat::Form && !route.stream {
            return Err(Problem::new(
                415,
                "unsupported-media-type",
                "this channel reads forms as application/x-www-form-urlencoded; a channel with data_format 'raw' takes others",
            ));
        }
        let inflater = match coding_of(&parts.headers)? {
            Coding::Identity => None,
            Coding::Gzip => Some(Box::new(MultiGzDecoder::new(Bounded {
                bytes: Vec::new(),
                taken: 0,
                limit,
            }))),
        };
        Ok(Self {
            body,
            is_empty,
            limit,
            has_begun: false,
            compressed: Bytes::new(),
            inflater: inflater.filter(|_| !is_empty),
        })
    }

    /// All of it.
    pub(super) async fn read(mut self) -> Result<Bytes, Problem> {
        if self.is_empty {
            return Ok(Bytes::new());
        }
        let mut first = Bytes::new();
        let mut all = Vec::new();
        while let Some(piece) = self.piece().await {
            let piece = piece.map_err(|error| self.problem(&error))?;
            if first.is_empty() && all.is_empty() {
                // Most bodies come in one piece, which need not be copied.
                first = piece;
            } else {
                if all.is_empty() {
                    all.extend_from_slice(&first);
                    first = Bytes::new();
                }
                all.extend_from_slice(&piece);
            }
            if (first.len() + all.len()) as u64 > self.limit {
                return Err(too_large(self.limit));
            }
        }
        Ok(if all.is_empty() { first } else { all.into() })
    }

    /// Hands it on piece by piece; whoever is slow to take them slows the caller down. `pieces_max`: how many wait.
    pub(super) fn into_stream(mut self, tasks: &TaskTracker, pieces_max: usize) -> BodyStream {
        let (sender, pieces) = mpsc::channel(pieces_max.max(1));
        tasks.spawn(async move {
            let mut left = self.limit;
            loop {
                let piece = tokio::select! {
                    piece = self.piece() => piece,
                    // Nobody will read the rest.
                    () = sender.closed() => return,
                };
                let Some(piece) = piece else { return };
                let piece = piece.and_then(|piece| match left.checked_sub(piece.len() as u64) {
                    Some(rest) => {
                        left = rest;
                        Ok(piece)
                    }
                    None => Err(BodyError::TooLarge(self.limit)),
                });
                let is_over = piece.is_err();
                if sender.send(piece).await.is_err() || is_over {
                    return;
                }
            }
        });
        BodyStream::new(pieces)
    }

    /// The next piece that is not empty.
    async fn piece(&mut self) -> Option<Result<Bytes, BodyError>> {
        loop {
            if !self.compressed.is_empty()
                && let Some(inflater) = &mut self.inflater
            {
                let some = self.compressed.split_to(self.compressed.len().min(INFLATED_AT_ONCE));
                if let Err(error) = inflater.write_all(&some) {
                    return Some(Err(inflate_error(&error, self.limit)));
                }
                let inflated = &mut inflater.get_mut().bytes;
                if !inflated.is_empty() {
                    return Some(Ok(std::mem::take(inflated).into()));
                }
                continue;
            }
            let Some(frame) = self.body.frame().await else {
                return self.rest();
            };
            let Ok(frame) = frame else {
                let cause = "the connection ended before the whole body came";
                return Some(Err(BodyError::CutOff(cause.to_owned())));
            };
            let data = frame.into_data().unwrap_or_default();
            if self.inflater.is_none() && !data.is_empty() {
                return Some(Ok(data));
            }
            self.has_begun |= !data.is_empty();
            self.compressed = data;
        }
    }

    /// What a compressed body still holds back at its end.
    fn rest(&mut self) -> Option<Result<Bytes, BodyError>> {
        let mut inflater = self.inflater.take().filter(|_| self.has_begun)?;
        match inflater.try_finish() {
            Ok(()) => {
                let bytes = std::mem::take(&mut inflater.get_mut().bytes);
                (!bytes.is_empty()).then(|| Ok(bytes.into()))
            }
            Err(error) => Some(Err(inflate_error(&error, self.limit))),
        }
    }

    fn problem(&self, error: &BodyError) -> Problem {
        match error {
            BodyError::TooLarge(_) => too_large(self.limit),
            BodyError::CutOff(cause) => Problem::new(400, "body-cut-off", cause.clone()),
        }
    }
}

enum Coding {
    Identity,
    Gzip,
}

fn coding_of(headers: &HeaderMap) -> Result<Coding, Problem> {
    let Some(value) = headers.get(CONTENT_ENCODING) else {
        return Ok(Coding::Identity);
    };
    match value.to_str().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(Coding::Identity),
        "gzip" | "x-gzip" => Ok(Coding::Gzip),
        other => Err(Problem::new(
            415,
            "unsupported-content-encoding",
            format!("a body may be compressed with gzip, not with '{other}'"),
        )),
    }
}

/// The service gets the body as it was before it was compressed, so that it is told nothing of that.
pub(super) fn forget_coding(headers: &mut HeaderMap) {
    if headers.remove(CONTENT_ENCODING).is_some() {
        headers.remove(CONTENT_LENGTH);
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(limit: u64) -> Problem {
    Problem::new(
        413,
        "body-too-large",
        format!("the body of a request to this channel has at most {limit} bytes"),
    )
}

/// Takes so many bytes and no more: what a small body may inflate to is not held before it is counted.
struct Bounded {
    bytes: Vec<u8>,
    taken: u64,
    limit: u64,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.taken = self.taken.saturating_add(bytes.len() as u64);
        if self.taken > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn inflate_error(error: &io::Error, limit: u64) -> BodyError {
    if error.kind() == io::ErrorKind::FileTooLarge {
        BodyError::TooLarge(limit)
    } else {
        BodyError::CutOff("the body is not valid gzip".to_owned())
    }
}
