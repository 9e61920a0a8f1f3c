//! One worker as the pool sees it: what it runs and what it may still take.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::{Bytes, BytesMut};
use tenon_model::CorrelationId;
use tenon_protocol::worker::{
    ChunkFrame, Frame, Kind, Limits, Message, RequestHead, Violation, encode, encode_head, encode_request,
};
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::Connection;
use super::metadata::Metadata;
use super::queue::{AnswerSender, Work};
use super::recycle::Life;
use super::running::{Running, Slots};
use super::service::{Class, ServiceEntry};
use super::settings::WorkerSettings;
use super::stream::{Download, Upload};
use crate::call::ServiceError;
use crate::services::DeploymentPin;

/// A call that runs this long without asking the platform for anything belongs to a slow service.
const SLOW_AFTER: Duration = Duration::from_millis(100);

/// A call that goes on for this long although it was cancelled belongs to a service that overruns.
const OVERRUN_AFTER: Duration = Duration::from_millis(100);

/// So many frames for calls that it does not have a worker may send.
const STRAYS_MAX: u32 = 100;

/// Where the id stands in an encoded frame.
const ID_BYTES: std::ops::Range<usize> = 16..24;

/// What all workers of a pool share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: WorkerSettings,
    pub(crate) limits: Limits,
    pub(crate) deployment: u64,
    pub(crate) tasks: TaskTracker,
    pub(crate) clock: MonotonicClock,
}

/// Turns instants into the numbers that workers compare with their own clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MonotonicClock {
    instant: Instant,
    ns: u64,
}

impl MonotonicClock {
    pub(crate) fn new() -> Self {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let ns = u64::try_from(now.tv_nsec).unwrap_or(0);
        Self {
            instant: Instant::now(),
            ns: seconds * 1_000_000_000 + ns,
        }
    }

    pub(crate) fn ns(&self, at: Instant) -> u64 {
        let after = u64::try_from(at.saturating_duration_since(self.instant).as_nanos()).unwrap_or(u64::MAX);
        self.ns.saturating_add(after)
    }
}

/// A worker that said hello.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) name: String,
    pub(crate) pid: u32,
    pub(crate) python: String,
    pub(crate) started: Instant,
    pub(crate) life: Life,
    pub(crate) connection: Arc<Connection>,
    /// Ends the process: cancelled with the reason in `kill_reason`.
    pub(crate) kill: CancellationToken,
    pub(crate) kill_reason: OnceLock<String>,
    /// Whose fault it is that the worker has to go, if that is known.
    pub(crate) blamed: OnceLock<Vec<Arc<ServiceEntry>>>,
    /// Set when a sign of life is overdue.
    pub(crate) suspect: AtomicBool,
    /// Set while a ping is unanswered.
    pub(crate) ping_sent: Mutex<Option<Instant>>,
    /// By the service's index in the deployment: its index in the worker's hello.
    codes: Vec<Option<u16>>,
    threads: u32,
    slots: Mutex<Slots>,
    /// Calls that keep the worker busy, by class; those that wait for the platform are not among them.
    running: [AtomicU32; 3],
    /// Calls that keep a thread, whether they wait or not.
    on_threads: AtomicU32,
    /// Calls of services that overrun.
    overrunning: AtomicU32,
    /// Calls that asked the platform for something.
    host_callers: AtomicU32,
    /// Frames that came for calls which the worker does not have.
    strays: AtomicU32,
    accepting: AtomicBool,
    last_used: AtomicU64,
}

/// What a host call inherits from the call that makes it.
#[derive(Debug)]
pub(crate) struct HostFacts {
    pub(crate) call_id: u64,
    pub(crate) cid: CorrelationId,
    pub(crate) service: String,
    pub(crate) deployment: Option<DeploymentPin>,
    pub(crate) depth: u32,
    pub(crate) deadline: Instant,
    pub(crate) class: Class,
}

/// What a sweep found.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    /// Services whose calls were cancelled and do not end.
    pub(crate) stuck: Vec<Arc<ServiceEntry>>,
    /// Whether calls turned out to be slow, so that there is room for others.
    pub(crate) has_room: bool,
}

impl Worker {
    pub(crate) fn new(
        ready_name: String,
        pid: u32,
        hello: &tenon_protocol::worker::Hello,
        services: &[Arc<ServiceEntry>],
        connection: Arc<Connection>,
        life: Life,
    ) -> Self {
        let code = |service: &Arc<ServiceEntry>| {
            let index = hello.services.iter().position(|other| other.name == service.name);
            index.and_then(|index| u16::try_from(index).ok())
        };
        Self {
            name: ready_name,
            pid,
            python: hello.python.clone(),
            started: life.started,
            life,
            connection,
            kill: CancellationToken::new(),
            kill_reason: OnceLock::new(),
            blamed: OnceLock::new(),
            suspect: AtomicBool::new(false),
            ping_sent: Mutex::new(None),
            codes: services.iter().map(code).collect(),
            threads: hello.threads.max(1),
            slots: Mutex::default(),
            running: [const { AtomicU32::new(0) }; 3],
            on_threads: AtomicU32::new(0),
            overrunning: AtomicU32::new(0),
            host_callers: AtomicU32::new(0),
            strays: AtomicU32::new(0),
            accepting: AtomicBool::new(true),
            last_used: AtomicU64::new(0),
        }
    }

    /// Whether it takes calls at all.
    pub(crate) fn is_accepting(&self) -> bool {
        self.accepting.load(Ordering::SeqCst)
    }

    /// Calls that keep it busy.
    pub(crate) fn load(&self) -> u32 {
        self.running.iter().map(|running| running.load(Ordering::Relaxed)).sum()
    }

    /// Whether it has calls of services that overrun.
    pub(crate) fn has_overrunning(&self) -> bool {
        self.overrunning.load(Ordering::Relaxed) > 0
    }

    /// When it was last given a call, as a number that grows.
    pub(crate) fn last_used(&self) -> u64 {
        self.last_used.load(Ordering::Relaxed)
    }

    /// Whether it may take another call. Calls from deeper down find room that others leave, or services that invoke each
    /// other would wait for threads that wait for them.
    pub(crate) fn has_room(&self, class: Class, depth: u32, settings: &WorkerSettings) -> bool {
        let running = |class: Class| self.running[class as usize].load(Ordering::SeqCst);
        if class == Class::Async {
            return running(Class::Async) < settings.in_flight_async_max;
        }
        let kept_free = (self.threads / 4) >> depth.min(31);
        let has_thread = self.on_threads.load(Ordering::SeqCst) < self.threads - kept_free;
        has_thread && (class == Class::Slow || running(Class::Fast) < settings.in_flight_max)
    }

    /// Sends a call to the worker; gives it back if the worker takes no more.
    pub(crate) fn begin(&self, mut work: Box<Work>, shared: &Shared, sequence: u64) -> Result<(), Box<Work>> {
        let Some(code) = self.codes.get(work.service.index).copied().flatten() else {
            return Err(work);
        };
        let call = &work.call;
        let head = RequestHead {
            id: 0,
            service: code,
            deadline_ns: shared.clock.ns(call.deadline),
            cid: call.cid.as_str(),
            body_is_json: call.body_is_json,
            is_stream: call.body_stream.is_some(),
            body_bytes: call.body.len(),
        };
        let metadata = Metadata {
            call,
            deployment: shared.deployment,
        };
        let mut bytes = BytesMut::with_capacity(1024);
        if let Err(violation) = encode_request(head, Some(&metadata), &mut bytes, &shared.limits) {
            work.finish(Err(ServiceError::Unavailable(format!(
                "the call is too large for a worker: {violation}"
            ))));
            return Ok(());
        }
        let body = call.body.clone();
        let class = work.service.class();
        let mut slots = self.lock();
        if slots.closing {
            return Err(work);
        }
        let stream = work.call.body_stream.clone();
        if !work.can_repeat() {
            work.forget_request();
        }
        let running = Running::new(work, class);
        if running.overruns {
            self.overrunning.fetch_add(1, Ordering::Relaxed);
        }
        let id = slots.insert(running);
        let upload = stream.map(|stream| Upload::new(id, stream, &self.connection, shared));
        if let (Some((upload, _)), Some(running)) = (&upload, slots.get(id)) {
            running.upload = Some(upload.clone());
        }
        drop(slots);
        self.count(class, 1);
        self.life.count();
        self.last_used.store(sequence, Ordering::Relaxed);
        bytes[ID_BYTES].copy_from_slice(&id.to_le_bytes());
        // A worker that is gone is noticed by its reader, which then looks after the call.
        self.connection.send(&bytes, &body, &shared.tasks);
        if let Some((_, sending)) = upload {
            shared.tasks.spawn(sending);
        }
        Ok(())
    }

    /// Takes a call that the worker has answered.
    pub(crate) fn complete(&self, id: u64, shared: &Shared) -> Option<Running> {
        let mut slots = self.lock();
        let running = slots.remove(id)?;
        let must_drain = slots.closing && slots.total == 0;
        drop(slots);
        if running.host_calls == 0 {
            self.running[running.class as usize].fetch_sub(1, Ordering::SeqCst);
        }
        if running.class != Class::Async {
            self.on_threads.fetch_sub(1, Ordering::SeqCst);
        }
        if running.overruns {
            self.overrunning.fetch_sub(1, Ordering::Relaxed);
        }
        if must_drain {
            self.send_bare(Kind::Drain, 0, shared);
        }
        Some(running)
    }

    /// Notes that the answer of a call has begun whose rest comes in chunks, and gives what tells its caller.
    pub(crate) fn begin_answer(&self, id: u64, download: Download) -> Result<Option<AnswerSender>, Violation> {
        let mut slots = self.lock();
        let Some(running) = slots.get(id) else {
            drop(slots);
            return self.stray(Kind::Reply).map(|()| None);
        };
        if running.download.is_some() {
            return Err(wrong(Kind::Reply, "number: it is the second one of its request"));
        }
        running.download = Some(download);
        Ok(running.work.answer.take())
    }

    /// Takes a piece of an answer. True if it was the last one.
    pub(crate) fn take_chunk(&self, chunk: ChunkFrame) -> Result<bool, Violation> {
        let mut slots = self.lock();
        match slots.get(chunk.id).map(|running| running.download.as_mut()) {
            Some(Some(download)) => download.take(chunk),
            Some(None) => Err(wrong(Kind::Chunk, "place: no answer has begun")),
            None => {
                drop(slots);
                self.stray(Kind::Chunk).map(|()| false)
            }
        }
    }

    /// The worker has read more of a request. Late grants are nothing unusual: the call may have ended meanwhile.
    pub(crate) fn grant(&self, id: u64, bytes: u32) -> Result<(), Violation> {
        match self.lock().get(id).and_then(|running| running.upload.as_ref()) {
            Some(upload) => upload.grant(bytes),
            None => Ok(()),
        }
    }

    /// Notes a frame for a call that the worker does not have; a few are forgiven.
    pub(crate) fn stray(&self, kind: Kind) -> Result<(), Violation> {
        tracing::debug!(worker = %self.name, "a {kind:?} frame for no call");
        if self.strays.fetch_add(1, Ordering::Relaxed) < STRAYS_MAX {
            return Ok(());
        }
        Err(wrong(kind, "request: too many are for none that it has"))
    }

    /// Notes that a call waits for the platform; none if there is no such call.
    pub(crate) fn host_call_begins(&self, id: u64) -> Option<HostFacts> {
        let mut slots = self.lock();
        let running = slots.get(id)?;
        running.host_calls += 1;
        if running.host_calls == 1 {
            running.waits_since = Some(Instant::now());
            self.running[running.class as usize].fetch_sub(1, Ordering::SeqCst);
        }
        let number = self
            .host_callers
            .fetch_add(u32::from(running.call_id.is_none()), Ordering::Relaxed);
        // No two workers that live at the same time have the same process id.
        let call_id = *running
            .call_id
            .get_or_insert(NonZeroU64::MIN.saturating_add((u64::from(self.pid) << 32) | u64::from(number)));
        let call = &running.work.call;
        Some(HostFacts {
            call_id: call_id.get(),
            cid: call.cid.clone(),
            service: call.service.clone(),
            deployment: call.deployment.clone(),
            depth: call.depth,
            deadline: call.deadline,
            class: running.class,
        })
    }

    /// Notes that the platform has answered.
    pub(crate) fn host_call_ends(&self, id: u64) {
        let mut slots = self.lock();
        if let Some(running) = slots.get(id) {
            running.host_calls = running.host_calls.saturating_sub(1);
            if running.host_calls == 0 {
                self.running[running.class as usize].fetch_add(1, Ordering::SeqCst);
                running.waited += running
                    .waits_since
                    .take()
                    .map_or(Duration::ZERO, |since| since.elapsed());
            }
        }
    }

    /// Answers calls whose time is up, cancels those that nobody waits for, and finds those that don't end.
    pub(crate) fn sweep(&self, now: Instant, shared: &Shared) -> Swept {
        let mut swept = Swept::default();
        let mut cancelled = Vec::new();
        let mut slots = self.lock();
        for (id, running) in slots.iter_mut() {
            if let Some(at) = running.cancelled_at {
                let overrun = now.duration_since(at);
                if !running.overruns && running.host_calls == 0 && overrun >= OVERRUN_AFTER {
                    running.overruns = true;
                    running.work.service.learn_overrun();
                    self.overrunning.fetch_add(1, Ordering::Relaxed);
                }
                if overrun >= shared.settings.cancel_grace.0 {
                    swept.stuck.push(running.work.service.clone());
                }
            } else if now >= running.work.call.deadline || !running.is_wanted() {
                running.time_out();
                running.cancelled_at = Some(now);
                cancelled.push(id);
            }
            if running.class == Class::Fast && running.host_calls == 0 && running.busy(now) > SLOW_AFTER {
                running.class = Class::Slow;
                running.work.service.learn_slow();
                self.running[Class::Fast as usize].fetch_sub(1, Ordering::SeqCst);
                self.running[Class::Slow as usize].fetch_add(1, Ordering::SeqCst);
                swept.has_room = true;
            }
        }
        drop(slots);
        for id in cancelled {
            self.send_bare(Kind::Cancel, id, shared);
        }
        swept
    }

    /// Takes no more calls. The worker is told to end as soon as it runs none.
    pub(crate) fn retire(&self, shared: &Shared) {
        self.accepting.store(false, Ordering::SeqCst);
        let mut slots = self.lock();
        let must_drain = !slots.closing && slots.total == 0;
        slots.closing = true;
        drop(slots);
        if must_drain {
            self.send_bare(Kind::Drain, 0, shared);
        }
    }

    /// Takes no more calls, and gives back all that it had: it is dead.
    pub(crate) fn abandon(&self) -> Vec<Running> {
        self.accepting.store(false, Ordering::SeqCst);
        let mut slots = self.lock();
        slots.closing = true;
        slots.take_all()
    }

    /// How many calls it has.
    pub(crate) fn in_flight(&self) -> usize {
        self.lock().total
    }

    /// Asks for the end of the process at once.
    pub(crate) fn kill(&self, reason: impl Into<String>) {
        let _ = self.kill_reason.set(reason.into());
        self.kill.cancel();
    }

    /// Sends a frame that has neither tail nor body.
    pub(crate) fn send_bare(&self, kind: Kind, id: u64, shared: &Shared) {
        self.send_frame(&Frame::bare(kind, id), shared);
    }

    /// Sends a small frame.
    pub(crate) fn send_frame(&self, frame: &Frame, shared: &Shared) {
        let mut bytes = BytesMut::with_capacity(64);
        if encode(frame, &mut bytes, &shared.limits).is_ok() {
            self.connection.send(&bytes, &Bytes::new(), &shared.tasks);
        }
    }

    /// Sends the user configuration.
    pub(crate) fn send_configuration(&self, body: &Bytes, shared: &Shared) {
        let frame = Message::Config(Bytes::new()).into_frame();
        let mut bytes = BytesMut::with_capacity(64);
        match encode_head(&frame, body.len(), &mut bytes, &shared.limits, |_| Ok(())) {
            Ok(()) => self.connection.send(&bytes, body, &shared.tasks),
            Err(violation) => tracing::error!(worker = %self.name, "the user configuration is not sent: {violation}"),
        }
    }

    fn count(&self, class: Class, calls: u32) {
        self.running[class as usize].fetch_add(calls, Ordering::SeqCst);
        if class != Class::Async {
            self.on_threads.fetch_add(calls, Ordering::SeqCst);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A frame that is not as the protocol has it.
fn wrong(kind: Kind, part: &'static str) -> Violation {
    Violation::Malformed {
        kind,
        part,
        source: None,
    }
}
