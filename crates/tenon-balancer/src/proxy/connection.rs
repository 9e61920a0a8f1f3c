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
use super::cids::{Cid, NewTrace};
use super::client::ClientStream;
use super::deadline::Deadline;
use super::linger::linger;
use super::peer::Peer;
use super::worker::{Memory, Worker};
use crate::access::Entry;
use crate::codec::{Body, Forwarding, HeadScan, Persistence, Refusal, Request, RequestLimits, TraceId, read_request};
use crate::counters::count;
use crate::rules::{Terms, field_of_head};

/// What a connection with nothing to do keeps for reading.
pub(super) const BUFFER_BYTES: usize = 4096;
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
    pub(super) peer: Arc<Peer>,
    /// Whether the connection is between two requests.
    pub(super) idle: Arc<AtomicBool>,
    pub(super) cid: Cid,
    /// The correlation id that a trusted peer gave the request, in place of ours.
    pub(super) given_cid: Option<String>,
    /// What rules say of the request, if they say anything.
    pub(super) terms: Option<Box<Terms>>,
    /// Whether the request has a trace context.
    has_trace: bool,
    /// The rule that refused the request.
    pub(super) rule: Option<Arc<str>>,
    /// When the last request ended.
    quiet_since: Option<Instant>,
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
    /// How long the server took to the head of its answer.
    pub(crate) server_micros: Option<u64>,
    pub(crate) retries: u32,
    pub(crate) next: Next,
    /// When it ended.
    pub(crate) at: Instant,
}

impl<S: ClientStream> Connection<S> {
    pub(crate) fn new(worker: Arc<Worker>, client: S, peer: Arc<Peer>, idle: Arc<AtomicBool>) -> Self {
        let deadline = Deadline::after(worker.shared.shaping.limits.head_timeout());
        Self {
            worker,
            client,
            buffer: Buffer::new(0),
            head: Vec::new(),
            out: Vec::new(),
            deadline,
            peer,
            idle,
            cid: Cid::NONE,
            given_cid: None,
            terms: None,
            has_trace: false,
            rule: None,
            quiet_since: None,
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
                Next::Keep if !S::CARRIES_ONE => {}
                Next::Keep | Next::Close => break self.close().await,
                Next::Cut => break,
                Next::Linger => break linger(&mut self.client).await,
            }
        }
        self.give_memory_back();
    }

    /// Leaves to others what reading and writing needs.
    fn give_memory_back(&mut self) {
        self.buffer.shrink(BUFFER_BYTES);
        if self.buffer.capacity() == BUFFER_BYTES {
            self.worker.give_memory_back(Memory {
                buffer: self.buffer.take(),
                head: std::mem::take(&mut self.head),
                out: std::mem::take(&mut self.out),
            });
        }
    }

    /// Says goodbye where that means something.
    async fn close(&mut self) {
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
        if let Some(since) = self.quiet_since.filter(|_| self.buffer.is_empty()) {
            self.idle.store(true, Ordering::Relaxed);
            let idle_timeout = worker.shared.shaping.limits.idle_timeout();
            self.deadline.set(since + idle_timeout);
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
                    let head_timeout = worker.shared.shaping.limits.head_timeout();
                    self.deadline.set(Instant::now() + head_timeout);
                }
                if self.buffer.len() == self.buffer.capacity() {
                    self.buffer.reserve(self.buffer.capacity() * 2);
                }
            }
            let read = if self.buffer.is_empty() {
                self.wait().await
            } else {
                self.fill().await
            };
            match read {
                Some(0) => return Head::Gone,
                Some(_) => self.idle.store(false, Ordering::Relaxed),
                None if started => return Head::Refused(Refusal::TooSlow),
                None => return Head::Gone,
            }
        }
    }

    /// As [`Self::fill`], for as long as nothing is known of the next request: meanwhile others use the memory.
    async fn wait(&mut self) -> Option<usize> {
        poll_fn(|cx| {
            if self.buffer.capacity() == 0 {
                let memory = self.worker.memory();
                self.buffer.adopt(memory.buffer);
                (self.head, self.out) = (memory.head, memory.out);
            }
            if let Poll::Ready(read) = self.buffer.poll_fill(cx, &mut self.client) {
                return Poll::Ready(Some(read.unwrap_or(0)));
            }
            self.give_memory_back();
            self.deadline.poll(cx).map(|()| None)
        })
        .await
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
        let limits = &worker.shared.shaping.limits;
        self.cid = worker.cid();
        self.given_cid = None;
        self.terms = None;
        self.rule = None;
        let limits = RequestLimits {
            headers_max: limits.headers_max(),
            body_bytes_max: limits.body_bytes_max(),
        };
        let new_trace = worker.shared.settings.trace_create.then(|| worker.new_trace());
        let forwarding = Forwarding {
            peer: &self.peer.address,
            peer_node: &self.peer.node,
            scheme: self.peer.scheme,
            certificate: self.peer.certificate.as_ref(),
            trusted: self.peer.trusted,
            networks: &self.peer.networks,
            cid: self.cid.as_str(),
            own_host: &worker.shared.own_host,
            new_trace: new_trace.as_ref().map(NewTrace::as_str),
        };
        let read = read_request(&self.buffer.filled()[start..end], limits, &forwarding, &mut self.head);
        self.buffer.consume(end);
        if self.peer.trusted {
            let given = field_of_head(&self.head, "x-tenon-cid").filter(|given| *given != self.cid.as_str().as_bytes());
            self.given_cid = given.map(|given| String::from_utf8_lossy(given).into_owned());
        }
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
        self.has_trace = false;
        let bytes = self.send().await;
        self.served(
            &Served {
                status: refusal.status(),
                bytes,
                server: None,
                server_micros: None,
                retries: 0,
                next: Next::Linger,
                at: Instant::now(),
            },
            started,
            0,
        );
        Next::Linger
    }

    async fn serve(&mut self, request: Request) -> Next {
        let started = Instant::now();
        self.has_trace = request.has_trace;
        let served = if request.live {
            let leaving = self.worker.shared.leaving.load(Ordering::Relaxed);
            self.answer_itself(&request, |out, to| answers::live(out, leaving, to))
                .await
        } else if self.worker.shared.shaping.is_idle() {
            self.exchange(&request).await
        } else {
            // A box of its own, so that connections need no room for it while nothing is configured.
            Box::pin(self.exchange_if_admitted(&request)).await
        };
        self.served(&served, started, request.line_bytes);
        served.next
    }

    /// Serves one request without a server; `write` writes the answer and gives its status.
    pub(super) async fn answer_itself(
        &mut self,
        request: &Request,
        write: impl FnOnce(&mut Vec<u8>, Addressee<'_>) -> u16,
    ) -> Served {
        let bodiless = matches!(request.body, Body::None | Body::Length(0));
        let persistence = self.persistence(request, bodiless);
        let to = Addressee {
            method: Some(request.method),
            cid: self.given_cid.as_deref().unwrap_or_else(|| self.cid.as_str()),
            persistence,
        };
        self.out.clear();
        let status = write(&mut self.out, to);
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
            server_micros: None,
            retries: 0,
            next,
            at: Instant::now(),
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

    fn trace(&self) -> Option<TraceId> {
        TraceId::of(field_of_head(&self.head, "traceparent")?)
    }

    fn served(&mut self, served: &Served, started: Instant, line_bytes: usize) {
        self.quiet_since = Some(served.at);
        let micros = u64::try_from((served.at - started).as_micros()).unwrap_or(u64::MAX);
        self.worker.counters.answered(served.status, micros);
        if let Some(access) = &self.worker.access {
            let line = self.head.get(..line_bytes).unwrap_or_default().trim_ascii_end();
            access.add(Entry {
                cid: self.cid().to_owned(),
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
                server_micros: served.server_micros,
                retries: served.retries,
                protocol: self.peer.protocol,
                tls: self.peer.tls,
                rule: self.rule.clone(),
                trace: self.has_trace.then(|| self.trace()).flatten(),
            });
        }
    }
}
