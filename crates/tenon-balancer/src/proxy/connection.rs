//! One client connection: heads are read one after the other, and each request is served before the next is looked at.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use super::answers::{self, Addressee};
use super::buffer::Buffer;
use super::client::ClientStream;
use super::deadline::Deadline;
use super::linger::linger;
use super::peer::Peer;
use super::worker::{Cid, Worker};
use crate::access::Entry;
use crate::codec::{Body, Forwarding, HeadScan, Persistence, Refusal, Request, RequestLimits, read_request};
use crate::counters::count;

/// What a connection with nothing to do keeps for reading.
const BUFFER_BYTES: usize = 4096;
/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// A client's connection.
pub(crate) struct Connection<S> {
    pub(super) worker: Arc<Worker>,
    pub(super) client: S,
    pub(super) buffer: Buffer,
    /// The head for the server.
    pub(super) head: Vec<u8>,
    /// Bytes for the client.
    pub(super) out: Vec<u8>,
    pub(super) deadline: Deadline,
    pub(super) peer: Peer,
    /// Whether the connection is between two requests.
    pub(super) idle: Arc<AtomicBool>,
    pub(super) cid: Cid,
    first: bool,
}

/// What becomes of a connection after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The next request may come.
    Keep,
    /// It ends in order.
    Close,
    /// It breaks off, so that the client can see that it did not get everything.
    Cut,
    /// It ends, and the client may be sending still.
    Linger,
}

enum Head {
    Request(Request),
    Refused(Refusal),
    Gone,
}

/// What is known of a request at its end, for the log and the counters.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    pub(crate) server: Option<Arc<crate::upstream::Upstream>>,
    pub(crate) retries: u32,
    pub(crate) next: Next,
}

impl<S: ClientStream> Connection<S> {
    pub(crate) fn new(worker: Arc<Worker>, client: S, peer: Peer, idle: Arc<AtomicBool>) -> Self {
        let deadline = Deadline::after(worker.shared.settings.head_timeout.0);
        let cid = worker.cid();
        Self {
            worker,
            client,
            buffer: Buffer::new(BUFFER_BYTES),
            head: Vec::with_capacity(1024),
            out: Vec::with_capacity(1024),
            deadline,
            peer,
            idle,
            cid,
            first: true,
        }
    }

    pub(crate) async fn run(mut self) {
        loop {
            let next = match self.next_head().await {
                Head::Request(request) => self.serve(request).await,
                Head::Refused(refusal) => self.refuse(refusal).await,
                Head::Gone => Next::Close,
            };
            match next {
                Next::Keep => {}
                Next::Close => return self.close().await,
                Next::Cut => return,
                Next::Linger => return linger(&mut self.client).await,
            }
            self.buffer.shrink(BUFFER_BYTES);
            self.first = false;
        }
    }

    /// Says goodbye where that means something.
    async fn close(mut self) {
        if S::SAYS_GOODBYE {
            // Whether the client still hears it makes no difference.
            let _ = tokio::time::timeout(GOODBYE, self.client.shutdown()).await;
        }
    }

    async fn next_head(&mut self) -> Head {
        let worker = Arc::clone(&self.worker);
        let settings = &worker.shared.settings;
        let mut scan = HeadScan::default();
        let mut started = false;
        if !self.first && self.buffer.is_empty() {
            self.idle.store(true, Ordering::Relaxed);
            self.deadline.set(Instant::now() + settings.idle_timeout.0);
        }
        loop {
            if let Some(first) = self.buffer.filled().first() {
                if !first.is_ascii_graphic() && *first != b'\r' && *first != b'\n' {
                    return Head::Refused(Refusal::Malformed("this is not HTTP"));
                }
                match scan.advance(
                    self.buffer.filled(),
                    settings.request_line_bytes_max,
                    settings.head_bytes_max,
                ) {
                    Ok(Some(end)) => return self.take_head(scan.skipped(), end),
                    Ok(None) => {}
                    Err(refusal) => return Head::Refused(refusal),
                }
                if !started {
                    started = true;
                    self.deadline.set(Instant::now() + settings.head_timeout.0);
                }
                if self.buffer.len() == self.buffer.capacity() {
                    self.buffer.reserve(self.buffer.capacity() * 2);
                }
            }
            match self.fill().await {
                Some(0) => return Head::Gone,
                Some(_) => self.idle.store(false, Ordering::Relaxed),
                None if started => return Head::Refused(Refusal::TooSlow),
                None => return Head::Gone,
            }
        }
    }

    /// Reads more from the client: 0 at its end, `None` if the deadline passed first.
    pub(super) async fn fill(&mut self) -> Option<usize> {
        poll_fn(|cx| {
            if let Poll::Ready(read) = self.buffer.poll_fill(cx, &mut self.client) {
                return Poll::Ready(Some(read.unwrap_or(0)));
            }
            self.deadline.poll(cx).map(|()| None)
        })
        .await
    }

    fn take_head(&mut self, start: usize, end: usize) -> Head {
        let worker = &self.worker;
        let settings = &worker.shared.settings;
        self.cid = worker.cid();
        let limits = RequestLimits {
            headers_max: settings.headers_max,
            body_bytes_max: settings.body_bytes_max,
        };
        let forwarding = Forwarding {
            peer: &self.peer.address,
            peer_node: &self.peer.node,
            scheme: self.peer.scheme,
            certificate: self.peer.certificate.as_ref(),
            trusted: self.peer.trusted,
            networks: &worker.shared.trusted,
            cid: self.cid.as_str(),
            own_host: &worker.shared.own_host,
        };
        let read = read_request(&self.buffer.filled()[start..end], limits, &forwarding, &mut self.head);
        self.buffer.consume(end);
        read.map_or_else(Head::Refused, Head::Request)
    }

    async fn refuse(&mut self, refusal: Refusal) -> Next {
        count(&self.worker.counters.refused);
        self.cid = self.worker.cid();
        let started = Instant::now();
        let to = Addressee {
            method: None,
            cid: self.cid.as_str(),
            persistence: Persistence::Close,
        };
        self.out.clear();
        answers::refusal(&mut self.out, refusal, to);
        self.head.clear();
        let bytes = self.send().await;
        self.served(
            &Served {
                status: refusal.status(),
                bytes,
                server: None,
                retries: 0,
                next: Next::Linger,
            },
            started,
            0,
        );
        Next::Linger
    }

    async fn serve(&mut self, request: Request) -> Next {
        let started = Instant::now();
        let served = if request.live {
            self.serve_live(&request).await
        } else {
            self.exchange(&request).await
        };
        self.served(&served, started, request.line_bytes);
        served.next
    }

    async fn serve_live(&mut self, request: &Request) -> Served {
        let bodiless = matches!(request.body, Body::None | Body::Length(0));
        let persistence = self.persistence(request, bodiless);
        let to = Addressee {
            method: Some(request.method),
            cid: self.cid.as_str(),
            persistence,
        };
        self.out.clear();
        let status = answers::live(&mut self.out, to);
        let bytes = self.send().await;
        let next = match (bodiless, persistence) {
            (false, _) => Next::Linger,
            (true, Persistence::Close) => Next::Close,
            (true, _) => Next::Keep,
        };
        Served {
            status,
            bytes,
            server: None,
            retries: 0,
            next,
        }
    }

    /// What an answer of ours says about the connection.
    pub(super) fn persistence(&self, request: &Request, keepable: bool) -> Persistence {
        if !keepable || !request.keep_alive || self.worker.is_closing() {
            Persistence::Close
        } else if request.modern {
            Persistence::Implied
        } else {
            Persistence::KeepAlive
        }
    }

    /// Writes what waits for the client; gives how many bytes that were.
    pub(super) async fn send(&mut self) -> u64 {
        let stall = self.worker.shared.settings.client_stall_timeout.0;
        let writing = async {
            self.client.write_all(&self.out).await?;
            self.client.flush().await
        };
        let written = tokio::time::timeout(stall, writing).await;
        let bytes = if matches!(written, Ok(Ok(()))) {
            self.out.len()
        } else {
            0
        };
        self.out.clear();
        bytes as u64
    }

    fn served(&self, served: &Served, started: Instant, line_bytes: usize) {
        let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.worker.counters.answered(served.status, micros);
        if let Some(access) = &self.worker.access {
            let line = self.head.get(..line_bytes).unwrap_or_default().trim_ascii_end();
            access.add(Entry {
                cid: self.cid.as_str().to_owned(),
                peer: self.peer.address.clone(),
                line: String::from_utf8_lossy(line).into_owned(),
                status: served.status,
                bytes: served.bytes,
                micros,
                server: served
                    .server
                    .as_ref()
                    .map(|server| server.name.clone())
                    .unwrap_or_default(),
                retries: served.retries,
            });
        }
    }
}
