//! The way of a request from the client to a server: its head, and its body as it comes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::buffer::Buffer;
use super::stream::ServerStream;
use crate::codec::{Body, ChunkScan, Refusal};
use crate::settings::Settings;

/// Why an upload ended early.
#[derive(Debug)]
pub(crate) enum UploadError {
    /// The server takes nothing more; it may have answered already.
    ServerGone,
    /// The client went away in the middle.
    ClientGone,
    /// What the client sends is refused.
    Refused(Refusal),
}

#[derive(Debug)]
enum Source {
    /// The body lies in the client's buffer and stays there, so that it can be sent again.
    Buffered,
    Length(u64),
    Chunked(ChunkScan),
}

/// How fast a client is, counting only the time in which it was waited for.
#[derive(Debug, Default)]
struct Pace {
    bytes: u64,
    waited: Duration,
    since: Option<Instant>,
}

impl Pace {
    fn wait(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    fn got(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
    }

    fn due(&self, settings: &Settings) -> Option<Instant> {
        let since = self.since?;
        let earned = Duration::from_millis(self.bytes.saturating_mul(1000) / settings.body_rate_min_bytes.max(1));
        let allowed = (settings.body_grace.0 + earned).saturating_sub(self.waited);
        Some(since + allowed.min(settings.client_stall_timeout.0))
    }
}

/// One attempt to send a request.
#[derive(Debug)]
pub(crate) struct Upload {
    source: Source,
    head_sent: usize,
    /// Bytes of the client's buffer that were checked and may be sent.
    ready: usize,
    /// Bytes of those that were sent, if they stay in the buffer.
    kept: usize,
    /// Bytes behind those that are withheld.
    skip: usize,
    /// Trailers that were withheld and are good.
    held: Vec<u8>,
    /// Whether nothing more is needed from the client.
    complete: bool,
    body_bytes_max: u64,
    pace: Pace,
    progress: bool,
}

impl Upload {
    /// A request whose body, if it has one, is the first `body_bytes` of the client's buffer.
    pub(crate) fn buffered(body_bytes: usize) -> Self {
        Self::new(Source::Buffered, body_bytes, true, 0)
    }

    /// A request whose body is passed on as it comes.
    pub(crate) fn streaming(body: Body, body_bytes_max: u64) -> Self {
        let (source, complete) = match body {
            Body::None => (Source::Length(0), true),
            Body::Length(length) => (Source::Length(length), length == 0),
            Body::Chunked => (Source::Chunked(ChunkScan::new()), false),
        };
        Self::new(source, 0, complete, body_bytes_max)
    }

    fn new(source: Source, ready: usize, complete: bool, body_bytes_max: u64) -> Self {
        Self {
            source,
            head_sent: 0,
            ready,
            kept: 0,
            skip: 0,
            held: Vec::new(),
            complete,
            body_bytes_max,
            pace: Pace::default(),
            progress: false,
        }
    }

    /// Whether a server may have seen a part of the request.
    pub(crate) const fn anything_sent(&self) -> bool {
        self.head_sent > 0
    }

    /// Whether something moved since this was asked last.
    pub(crate) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }

    /// Until when the client must have sent more, if it is the client that is waited for.
    pub(crate) fn client_due(&self, settings: &Settings) -> Option<Instant> {
        self.pace.due(settings)
    }

    /// Moves what can be moved; ready once all of the request is sent.
    pub(crate) fn poll<S: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        head: &[u8],
        (client, buffer): (&mut S, &mut Buffer),
        server: &mut ServerStream,
    ) -> Poll<Result<(), UploadError>> {
        loop {
            let body = &buffer.filled()[self.kept..self.ready];
            let head_rest = &head[self.head_sent..];
            if !head_rest.is_empty() || !body.is_empty() || !self.held.is_empty() {
                let slices = [IoSlice::new(head_rest), IoSlice::new(body), IoSlice::new(&self.held)];
                let count = match ready!(poll_write_all_kinds(cx, server, slices)) {
                    Ok(0) | Err(_) => return Poll::Ready(Err(UploadError::ServerGone)),
                    Ok(count) => count,
                };
                let (head_bytes, body_bytes) = (head_rest.len(), body.len());
                self.sent(count, head_bytes, body_bytes, buffer);
                continue;
            }
            if self.complete {
                return Poll::Ready(Ok(()));
            }
            if !buffer.is_empty() {
                self.check(buffer).map_err(UploadError::Refused)?;
                continue;
            }
            let Poll::Ready(read) = buffer.poll_fill(cx, client) else {
                self.pace.wait();
                return Poll::Pending;
            };
            match read {
                Ok(0) | Err(_) => return Poll::Ready(Err(UploadError::ClientGone)),
                Ok(count) => self.pace.got(count),
            }
            self.progress = true;
        }
    }

    fn sent(&mut self, count: usize, head_bytes: usize, body_bytes: usize, buffer: &mut Buffer) {
        self.progress = true;
        let of_head = count.min(head_bytes);
        let of_body = (count - of_head).min(body_bytes);
        self.head_sent += of_head;
        self.held.drain(..count - of_head - of_body);
        if matches!(self.source, Source::Buffered) {
            self.kept += of_body;
        } else {
            buffer.consume(of_body);
            self.ready -= of_body;
            if self.ready == 0 {
                buffer.consume(std::mem::take(&mut self.skip));
            }
        }
    }

    /// Looks at new bytes of the body.
    fn check(&mut self, buffer: &mut Buffer) -> Result<(), Refusal> {
        match &mut self.source {
            Source::Buffered => {}
            Source::Length(rest) => {
                self.ready = usize::try_from(*rest).unwrap_or(usize::MAX).min(buffer.len());
                *rest -= self.ready as u64;
                self.complete = *rest == 0;
            }
            Source::Chunked(scan) => {
                let fed = scan.feed(buffer.filled(), |_| {})?;
                if scan.payload() > self.body_bytes_max {
                    return Err(Refusal::BodyTooLarge);
                }
                self.ready = fed.pass;
                self.skip = fed.consumed - fed.pass;
                if self.ready == 0 {
                    buffer.consume(std::mem::take(&mut self.skip));
                }
                self.complete = scan.is_done();
                self.held = scan.take_held();
            }
        }
        Ok(())
    }
}

/// Writes what is not empty, with one system call.
fn poll_write_all_kinds(
    cx: &mut Context<'_>,
    server: &mut ServerStream,
    slices: [IoSlice<'_>; 3],
) -> Poll<io::Result<usize>> {
    if slices[1].is_empty() && slices[2].is_empty() {
        Pin::new(server).poll_write(cx, &slices[0])
    } else {
        Pin::new(server).poll_write_vectored(cx, &slices)
    }
}
