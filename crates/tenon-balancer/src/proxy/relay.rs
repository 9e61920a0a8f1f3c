//! One attempt at a request: it goes to a server while the answer comes back, both ways at once, nothing kept whole.

use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::buffer::Buffer;
use super::client::ClientStream;
use super::deadline::Deadline;
use super::stream::ServerStream;
use super::upload::{Upload, UploadError};
use crate::codec::{ChunkScan, HeadScan, Method, Persistence, Refusal, Request, Response, ResponseBody, read_response};
use crate::rules::Terms;
use crate::settings::Settings;
use crate::upstream::Upstream;

/// How an attempt ended without an answer.
#[derive(Debug)]
pub(crate) enum RelayError {
    /// The server's connection ended before any byte of an answer.
    Lost,
    /// The server was found dead before any byte of an answer.
    ServerDead,
    /// The server took too long.
    Timeout,
    /// What the server sent is no answer.
    BadAnswer,
    /// The rest of the request is refused; nothing was answered yet.
    Refused(Refusal),
    /// The client went away, or an answer broke off in the middle: there is nobody to tell, or no way to.
    Cut,
}

/// What an answer was, once it was passed on whole.
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts about the end of an attempt that don't depend on each other"
)]
pub(crate) struct Relayed {
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    /// From choosing the server to the head of its answer.
    pub(crate) head_micros: u64,
    /// Whether the server's connection can be used again.
    pub(crate) server_reusable: bool,
    /// Whether the client's connection can be used again.
    pub(crate) client_reusable: bool,
    /// Whether the client may still be sending the rest of its request.
    pub(crate) upload_cut: bool,
    /// Whether both sides now speak another protocol.
    pub(crate) upgraded: bool,
}

/// Answers up to this size are written together with their head.
const COPY_MAX: usize = 8 * 1024;

#[derive(Debug)]
enum Stage {
    Head(HeadScan),
    Length(u64),
    Chunked(ChunkScan),
    UntilClose,
    Done,
}

/// What both directions of an attempt work on.
pub(crate) struct Relay<'a, S> {
    pub(crate) client: &'a mut S,
    pub(crate) client_buffer: &'a mut Buffer,
    pub(crate) server: &'a mut ServerStream,
    pub(crate) server_buffer: &'a mut Buffer,
    /// The head for the server.
    pub(crate) head: &'a [u8],
    /// Bytes for the client; empty at first.
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) deadline: &'a mut Deadline,
    pub(crate) settings: &'a Settings,
    /// What rules say of the request.
    pub(crate) terms: Option<&'a Terms>,
    /// How long the server may take to the head of its answer.
    pub(crate) head_timeout: Duration,
    pub(crate) request: Request,
    /// When the server was chosen.
    pub(crate) begun: Instant,
    /// Whether the client is to be told that its connection ends.
    pub(crate) closing: bool,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "facts about an answer that don't depend on each other"
)]
struct Download {
    stage: Stage,
    out_sent: usize,
    /// Bytes of the server's buffer that go to the client as they are.
    direct: usize,
    /// Bytes behind those that are withheld.
    skip: usize,
    response: Option<Response>,
    client_reusable: bool,
    upgraded: bool,
    /// Whether the client got any byte of the answer proper.
    began: bool,
    bytes: u64,
    head_micros: u64,
    progress: bool,
    client_blocks: bool,
    /// Whether the client's stream may hold back bytes that were written to it.
    unflushed: bool,
}

impl<S: ClientStream> Relay<'_, S> {
    pub(crate) async fn run(&mut self, upload: &mut Upload, upstream: &Upstream) -> Result<Relayed, RelayError> {
        let mut died = pin!(upstream.died.notified());
        if upstream.is_silent() {
            return Err(RelayError::ServerDead);
        }
        let mut download = Download::new();
        let mut uploading = true;
        let mut broken = false;
        let mut set = false;
        let ended = poll_fn(|cx| {
            if uploading {
                match upload.poll(
                    cx,
                    self.head,
                    (&mut *self.client, &mut *self.client_buffer),
                    self.server,
                ) {
                    Poll::Ready(Ok(())) => uploading = false,
                    Poll::Ready(Err(UploadError::ServerGone)) => (uploading, broken) = (false, true),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(refused(&error, download.began))),
                    Poll::Pending => {}
                }
            }
            if let Poll::Ready(ended) = self.poll_download(cx, &mut download, uploading || broken) {
                return Poll::Ready(ended);
            }
            if self.client.poll_gone(cx).is_ready() {
                return Poll::Ready(Err(RelayError::Cut));
            }
            if died.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(if download.began {
                    RelayError::Cut
                } else {
                    RelayError::ServerDead
                }));
            }
            let client_due = if uploading {
                upload.client_due(self.settings)
            } else {
                None
            };
            let (up, down) = (upload.take_progress(), std::mem::take(&mut download.progress));
            if up || down || !set {
                set = true;
                self.deadline.set(self.due(&download, client_due));
            }
            if self.deadline.poll(cx).is_pending() {
                return Poll::Pending;
            }
            Poll::Ready(Err(match (download.began, client_due) {
                (true, _) => RelayError::Cut,
                (false, Some(_)) => RelayError::Refused(Refusal::TooSlow),
                (false, None) => RelayError::Timeout,
            }))
        });
        ended.await?;
        let response = download.response.ok_or(RelayError::BadAnswer)?;
        let whole = !uploading && !broken;
        Ok(Relayed {
            status: response.status,
            bytes: download.bytes,
            head_micros: download.head_micros,
            server_reusable: response.reusable && whole && self.server_buffer.is_empty(),
            client_reusable: download.client_reusable && whole,
            upload_cut: !whole,
            upgraded: download.upgraded,
        })
    }

    fn due(&self, download: &Download, client_due: Option<Instant>) -> Instant {
        let now = Instant::now();
        if download.client_blocks {
            return now + self.settings.client_stall_timeout.0;
        }
        match (&download.stage, client_due) {
            (Stage::Head(_), Some(due)) => due,
            (Stage::Head(_), None) => now + self.head_timeout,
            _ => now + self.settings.response_idle_timeout.0,
        }
    }

    fn poll_download(
        &mut self,
        cx: &mut Context<'_>,
        download: &mut Download,
        uploading: bool,
    ) -> Poll<Result<(), RelayError>> {
        loop {
            download.client_blocks = true;
            ready!(self.poll_flush(cx, download))?;
            download.client_blocks = false;
            match &mut download.stage {
                Stage::Done => return Poll::Ready(Ok(())),
                Stage::Head(scan) => {
                    let limit = self.server_buffer.capacity();
                    let found = scan.advance(self.server_buffer.filled(), limit, limit);
                    match found {
                        Ok(Some(_)) if scan.skipped() > 0 => return Poll::Ready(Err(RelayError::BadAnswer)),
                        Ok(Some(end)) => {
                            self.take_head(end, download, uploading)?;
                            continue;
                        }
                        Ok(None) => {}
                        Err(_) if download.began => return Poll::Ready(Err(RelayError::Cut)),
                        Err(_) => return Poll::Ready(Err(RelayError::BadAnswer)),
                    }
                }
                _ if !self.server_buffer.is_empty() => {
                    self.take_body(download)?;
                    continue;
                }
                _ => {}
            }
            match ready!(self.server_buffer.poll_fill(cx, self.server)) {
                Ok(0) if matches!(download.stage, Stage::UntilClose) => download.stage = Stage::Done,
                Ok(0) | Err(_) => {
                    return Poll::Ready(Err(match (download.began, self.server_buffer.is_empty()) {
                        (true, _) => RelayError::Cut,
                        (false, true) => RelayError::Lost,
                        // A part of a head came: the server did answer something.
                        (false, false) => RelayError::BadAnswer,
                    }));
                }
                Ok(_) => download.progress = true,
            }
        }
    }

    /// Writes what is there for the client.
    fn poll_flush(&mut self, cx: &mut Context<'_>, download: &mut Download) -> Poll<Result<(), RelayError>> {
        loop {
            let out = &self.out[download.out_sent..];
            let direct = &self.server_buffer.filled()[..download.direct];
            let out_bytes = out.len();
            let written = match (out.is_empty(), direct.is_empty()) {
                (true, true) => break,
                (false, true) => ready!(Pin::new(&mut *self.client).poll_write(cx, out)),
                (true, false) => ready!(Pin::new(&mut *self.client).poll_write(cx, direct)),
                (false, false) => {
                    let slices = [IoSlice::new(out), IoSlice::new(direct)];
                    ready!(Pin::new(&mut *self.client).poll_write_vectored(cx, &slices))
                }
            };
            let count = match written {
                Ok(0) | Err(_) => return Poll::Ready(Err(RelayError::Cut)),
                Ok(count) => count,
            };
            // An interim answer that went out whole leaves everything open.
            download.began |= download.response.is_some() || download.upgraded || count < out_bytes;
            download.progress = true;
            download.unflushed = true;
            download.bytes += count as u64;
            let of_out = count.min(out_bytes);
            download.out_sent += of_out;
            download.direct -= count - of_out;
            self.server_buffer.consume(count - of_out);
        }
        if download.unflushed {
            if ready!(Pin::new(&mut *self.client).poll_flush(cx)).is_err() {
                return Poll::Ready(Err(RelayError::Cut));
            }
            download.unflushed = false;
        }
        if download.skip > 0 {
            self.server_buffer.consume(std::mem::take(&mut download.skip));
        }
        self.out.clear();
        download.out_sent = 0;
        Poll::Ready(Ok(()))
    }

    fn take_head(&mut self, end: usize, download: &mut Download, uploading: bool) -> Result<(), RelayError> {
        let persistence = if self.closing || uploading || !self.request.keep_alive {
            Persistence::Close
        } else if self.request.modern {
            Persistence::Implied
        } else {
            Persistence::KeepAlive
        };
        let bad = if download.began {
            RelayError::Cut
        } else {
            RelayError::BadAnswer
        };
        let head = &self.server_buffer.filled()[..end];
        let is_head = self.request.method == Method::Head;
        let start = self.out.len();
        let Ok(response) = read_response(head, is_head, self.request.modern, persistence, self.out) else {
            self.out.clear();
            return Err(bad);
        };
        if let Some(terms) = self.terms.filter(|_| response.status >= 200) {
            for edits in &terms.response {
                edits.apply_to_head(self.out, start);
            }
        }
        self.server_buffer.consume(end);
        match response.status {
            101 if self.request.upgrade => {
                download.upgraded = true;
                download.stage = Stage::Done;
            }
            101 => {
                self.out.clear();
                return Err(bad);
            }
            100..200 => {
                if !self.request.modern {
                    self.out.clear();
                }
                download.stage = Stage::Head(HeadScan::default());
                return Ok(());
            }
            _ => {}
        }
        let ends_with_close = match response.body {
            ResponseBody::UntilClose => true,
            ResponseBody::Chunked => !self.request.modern,
            _ => false,
        };
        download.client_reusable = persistence != Persistence::Close && !ends_with_close;
        download.response = Some(response);
        download.head_micros = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        download.stage = match response.body {
            ResponseBody::None | ResponseBody::Length(0) => Stage::Done,
            ResponseBody::Length(length) => Stage::Length(length),
            ResponseBody::Chunked => Stage::Chunked(ChunkScan::new()),
            ResponseBody::UntilClose => Stage::UntilClose,
        };
        if !matches!(download.stage, Stage::Done) && !self.server_buffer.is_empty() {
            self.take_body(download)?;
        }
        Ok(())
    }

    /// Takes what came of the body: small parts go out with what waits already, large ones from where they are.
    fn take_body(&mut self, download: &mut Download) -> Result<(), RelayError> {
        let available = self.server_buffer.len();
        let (pass, done) = match &mut download.stage {
            Stage::Length(rest) => {
                let pass = usize::try_from(*rest).unwrap_or(usize::MAX).min(available);
                *rest -= pass as u64;
                (pass, *rest == 0)
            }
            Stage::Chunked(scan) if self.request.modern => {
                let Ok(fed) = scan.feed(self.server_buffer.filled(), |_| {}) else {
                    return Err(RelayError::Cut);
                };
                let held = scan.take_held();
                if !held.is_empty() {
                    self.out.extend_from_slice(&self.server_buffer.filled()[..fed.pass]);
                    self.out.extend_from_slice(&held);
                    self.server_buffer.consume(fed.consumed);
                    download.stage = Stage::Done;
                    return Ok(());
                }
                download.skip = fed.consumed - fed.pass;
                (fed.pass, scan.is_done())
            }
            Stage::Chunked(scan) => {
                let out = &mut *self.out;
                let Ok(fed) = scan.feed(self.server_buffer.filled(), |data| out.extend_from_slice(data)) else {
                    return Err(RelayError::Cut);
                };
                download.skip = fed.consumed;
                (0, scan.is_done())
            }
            _ => (available, false),
        };
        if pass + self.out.len() <= COPY_MAX {
            self.out.extend_from_slice(&self.server_buffer.filled()[..pass]);
            self.server_buffer.consume(pass + std::mem::take(&mut download.skip));
        } else {
            download.direct = pass;
        }
        if done {
            download.stage = Stage::Done;
        }
        Ok(())
    }
}

impl Download {
    fn new() -> Self {
        Self {
            stage: Stage::Head(HeadScan::default()),
            out_sent: 0,
            direct: 0,
            skip: 0,
            response: None,
            client_reusable: false,
            upgraded: false,
            began: false,
            bytes: 0,
            head_micros: 0,
            progress: false,
            client_blocks: false,
            unflushed: false,
        }
    }
}

fn refused(error: &UploadError, began: bool) -> RelayError {
    match error {
        UploadError::Refused(refusal) if !began => RelayError::Refused(*refusal),
        _ => RelayError::Cut,
    }
}
