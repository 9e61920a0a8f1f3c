//! A call of a service as its worker holds it, from the request's frame to the reply's.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tenon_protocol::worker::{ChunkFrame, Frame, Kind, Message, ReplyFrame, RequestFrame, Violation};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::facts::{Facts, Http, InputFacts};
use crate::link::Link;
use crate::service::Entry;
use crate::session::Shared;
use crate::stream::{Credit, Incoming};

/// Nobody waits for the answer any more.
const CANCELLED: u16 = 499;

/// A call that runs.
pub(crate) struct Call {
    pub(crate) id: u64,
    pub(crate) cid: String,
    pub(crate) deadline: Option<Instant>,
    pub(crate) body: Bytes,
    pub(crate) body_is_json: bool,
    pub(crate) entry: Arc<Entry>,
    pub(crate) link: Arc<Link>,
    pub(crate) shared: Arc<Shared>,
    /// The chunks of its body, if it comes in chunks.
    pub(crate) incoming: Option<Incoming>,
    /// How much of an answer in chunks may be sent.
    pub(crate) credit: Credit,
    metadata: Bytes,
    facts: OnceLock<Facts>,
    came: OnceLock<Bytes>,
    http: OnceLock<Option<Http>>,
    cancelled: AtomicBool,
    task: OnceLock<AbortHandle>,
}

impl Call {
    pub(crate) fn new(request: RequestFrame, entry: Arc<Entry>, link: Arc<Link>, shared: Arc<Shared>) -> Self {
        Self {
            id: request.id,
            cid: String::from_utf8_lossy(&request.cid).into_owned(),
            deadline: deadline(request.deadline_ns),
            body: request.body,
            body_is_json: request.body_is_json,
            entry,
            link,
            shared,
            incoming: request.is_stream.then(Incoming::new),
            credit: Credit::new(),
            metadata: request.metadata,
            facts: OnceLock::new(),
            came: OnceLock::new(),
            http: OnceLock::new(),
            cancelled: AtomicBool::new(false),
            task: OnceLock::new(),
        }
    }

    /// What the server says of the call.
    pub(crate) fn facts(&self) -> &Facts {
        self.facts.get_or_init(|| Facts::parse(&self.metadata))
    }

    /// What the server says of the call's input.
    pub(crate) fn input_facts(&self) -> InputFacts<'_> {
        InputFacts::parse(&self.metadata)
    }

    /// The body as it came.
    pub(crate) fn came(&self) -> &Bytes {
        self.came.get_or_init(|| match self.facts().raw_at {
            Some(at) if at <= self.body.len() => self.body.slice(at..),
            _ => self.body.clone(),
        })
    }

    /// The HTTP request behind the call.
    pub(crate) fn http(&self) -> Option<&Http> {
        self.http.get_or_init(|| self.facts().http()).as_ref()
    }

    pub(crate) fn set_task(&self, task: AbortHandle) {
        let _ = self.task.set(task);
    }

    /// Drops what runs. The reply, which every request has to have, is sent when that is done.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    pub(crate) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("id", &self.id)
            .field("cid", &self.cid)
            .field("service", &self.entry.name)
            .finish_non_exhaustive()
    }
}

/// The instant that the server's number means; both read the same clock of the machine.
fn deadline(ns: u64) -> Option<Instant> {
    if ns == 0 {
        return None;
    }
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let now_ns = seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0);
    let left = Duration::from_nanos(ns.saturating_sub(now_ns));
    // A deadline further away than the clock reaches is none.
    Instant::now().checked_add(left)
}

/// A call whose reply has not been sent, or not to its end. Dropping it says that the call was cancelled: what ran was dropped
/// in the middle.
#[derive(Debug)]
pub(crate) struct Unanswered {
    call: Arc<Call>,
    is_answered: bool,
    is_streaming: bool,
}

impl Unanswered {
    pub(crate) fn new(call: Arc<Call>) -> Self {
        Self {
            call,
            is_answered: false,
            is_streaming: false,
        }
    }

    /// Sends the reply that ends the call; one that breaks a limit is replaced by what `instead` makes of the violation.
    pub(crate) async fn answer(mut self, reply: ReplyFrame, instead: impl FnOnce(String) -> ReplyFrame) {
        let frame = Message::Reply(reply).into_frame();
        if let Err(violation) = self.call.link.send(&frame).await {
            let _ = self
                .call
                .link
                .push(&Message::Reply(instead(violation.to_string())).into_frame());
        }
        self.is_answered = true;
        self.call.link.finish(self.call.id);
    }

    /// Sends the head of a reply whose body follows in chunks.
    pub(crate) async fn begin_stream(&mut self, reply: ReplyFrame) -> Result<(), Violation> {
        let frame = Message::Reply(reply).into_frame();
        self.call.link.send(&frame).await?;
        self.is_streaming = true;
        Ok(())
    }

    /// Sends the chunk that ends the reply: the last one, or one that says with which status it is cut off.
    pub(crate) fn end_stream(mut self, cut_off: Option<(u16, &'static str)>) {
        self.is_answered = true;
        self.push_last_chunk(cut_off);
        self.call.link.finish(self.call.id);
    }

    fn push_last_chunk(&self, cut_off: Option<(u16, &'static str)>) {
        let (status, reason) = cut_off.unwrap_or_default();
        let chunk = ChunkFrame {
            id: self.call.id,
            is_last: cut_off.is_none(),
            is_error: cut_off.is_some(),
            status,
            body: Bytes::from_static(reason.as_bytes()),
        };
        // So small a frame breaks no limit.
        let _ = self.call.link.push(&Message::Chunk(chunk).into_frame());
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        if self.is_streaming {
            self.push_last_chunk(Some((CANCELLED, "the call was cancelled")));
        } else {
            let frame = Frame {
                code: CANCELLED,
                ..Frame::bare(Kind::Reply, self.call.id)
            };
            // Nor does this one.
            let _ = self.call.link.push(&frame);
        }
        self.call.link.finish(self.call.id);
    }
}
