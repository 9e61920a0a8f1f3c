//! The connection to the server as the parts of a worker share it: what goes out, and who waits for what comes in.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use rustix::io::Errno;
use rustix::net::SendFlags;
use tenon_protocol::worker::{Frame, Kind, Limits, Violation, encode_head};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::{Notify, oneshot};

use crate::call::Call;
use crate::config::Configuration;

/// Bodies that are longer are not copied on their way out.
const COPY_BYTES_MAX: usize = 16 << 10;

/// Whoever may wait does so while more than this has not been taken by the server.
const QUEUED_BYTES_MAX: usize = 4 << 20;

/// What the platform answered to a host call.
#[derive(Debug)]
pub(crate) struct HostAnswer {
    pub(crate) code: u16,
    pub(crate) is_json: bool,
    pub(crate) tail: Bytes,
    pub(crate) body: Bytes,
}

/// The worker's side of the connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) limits: Limits,
    outbox: Mutex<Outbox>,
    has_output: Notify,
    has_room: Notify,
    waiters: Mutex<HashMap<u32, oneshot::Sender<HostAnswer>>>,
    next_call: AtomicU32,
    /// Requests that were not answered yet.
    calls: Mutex<HashMap<u64, Arc<Call>>>,
    draining: AtomicBool,
    pub(crate) ended: Notify,
    configuration: Mutex<Arc<Configuration>>,
}

#[derive(Debug, Default)]
struct Outbox {
    segments: VecDeque<Bytes>,
    last: BytesMut,
    queued: usize,
    closed: bool,
}

impl Link {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            outbox: Mutex::default(),
            has_output: Notify::new(),
            has_room: Notify::new(),
            waiters: Mutex::default(),
            next_call: AtomicU32::new(1),
            calls: Mutex::default(),
            draining: AtomicBool::new(false),
            ended: Notify::new(),
            configuration: Mutex::default(),
        })
    }

    /// Queues a frame at once. It is sent with whatever else is queued by then.
    pub(crate) fn push(&self, frame: &Frame) -> Result<(), Violation> {
        let mut outbox = lock(&self.outbox);
        if outbox.closed {
            return Ok(());
        }
        let before = outbox.last.len();
        encode_head(frame, frame.body.len(), &mut outbox.last, &self.limits, |tail| {
            tail.extend_from_slice(&frame.tail);
            Ok(())
        })?;
        outbox.queued += outbox.last.len() - before + frame.body.len();
        if frame.body.len() <= COPY_BYTES_MAX {
            outbox.last.extend_from_slice(&frame.body);
        } else {
            let head = outbox.last.split().freeze();
            outbox.segments.push_back(head);
            outbox.segments.push_back(frame.body.clone());
        }
        drop(outbox);
        self.has_output.notify_one();
        Ok(())
    }

    /// Queues a frame as soon as the server has taken enough of what is queued already.
    pub(crate) async fn send(&self, frame: &Frame) -> Result<(), Violation> {
        if self.is_full() {
            // Seldom, so that it is not to take room in the state of all calls.
            Box::pin(self.room()).await;
        }
        self.push(frame)
    }

    async fn room(&self) {
        while self.is_full() {
            let room = self.has_room.notified();
            if !self.is_full() {
                return;
            }
            room.await;
        }
    }

    fn is_full(&self) -> bool {
        lock(&self.outbox).queued > QUEUED_BYTES_MAX
    }

    /// Writes as much of what is queued as the socket takes without waiting.
    pub(crate) fn flush(&self, socket: &UnixStream) -> io::Result<()> {
        let mut outbox = lock(&self.outbox);
        loop {
            if outbox.segments.is_empty() {
                if outbox.last.is_empty() {
                    return Ok(());
                }
                let last = outbox.last.split().freeze();
                outbox.segments.push_back(last);
            }
            while let Some(segment) = outbox.segments.front_mut() {
                let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
                let sent = match rustix::net::send(socket, segment, flags) {
                    Ok(sent) => sent,
                    Err(Errno::INTR) => continue,
                    Err(error) => return Err(error.into()),
                };
                segment.advance(sent);
                if segment.is_empty() {
                    outbox.segments.pop_front();
                }
                let was_full = outbox.queued > QUEUED_BYTES_MAX;
                outbox.queued = outbox.queued.saturating_sub(sent);
                if was_full && outbox.queued <= QUEUED_BYTES_MAX {
                    self.has_room.notify_waiters();
                }
            }
        }
    }

    /// Writes what is queued until the connection ends, or until everything is written once it is closed.
    pub(crate) async fn write(&self, socket: &UnixStream) {
        loop {
            let closed = lock(&self.outbox).closed;
            if socket
                .async_io(Interest::WRITABLE, || self.flush(socket))
                .await
                .is_err()
            {
                self.close();
                return;
            }
            if closed {
                return;
            }
            self.has_output.notified().await;
        }
    }

    /// Sends nothing that comes later, and lets nobody wait for what can't come any more.
    pub(crate) fn close(&self) {
        lock(&self.outbox).closed = true;
        self.has_output.notify_one();
        self.has_room.notify_waiters();
        lock(&self.waiters).clear();
    }

    /// A number for a host call, and where its answer will be.
    pub(crate) fn expect(&self) -> (u32, oneshot::Receiver<HostAnswer>) {
        let (sender, receiver) = oneshot::channel();
        let call = self.next_call.fetch_add(1, Ordering::Relaxed);
        if !lock(&self.outbox).closed {
            lock(&self.waiters).insert(call, sender);
        }
        (call, receiver)
    }

    /// Hands an answer to whoever waits for it.
    pub(crate) fn deliver(&self, call: u32, answer: HostAnswer) {
        if let Some(waiter) = lock(&self.waiters).remove(&call) {
            let _ = waiter.send(answer);
        }
    }

    /// Nobody waits for this answer any more.
    pub(crate) fn forget(&self, call: u32) {
        lock(&self.waiters).remove(&call);
    }

    /// Takes a request in; not if the worker drains.
    pub(crate) fn begin(&self, call: &Arc<Call>) -> bool {
        let mut calls = lock(&self.calls);
        if self.draining.load(Ordering::SeqCst) {
            return false;
        }
        calls.insert(call.id, call.clone());
        true
    }

    /// A request was answered.
    pub(crate) fn finish(&self, id: u64) {
        let mut calls = lock(&self.calls);
        calls.remove(&id);
        if calls.is_empty() && self.draining.load(Ordering::SeqCst) {
            self.ended.notify_one();
        }
    }

    /// A request that was not answered yet.
    pub(crate) fn call(&self, id: u64) -> Option<Arc<Call>> {
        lock(&self.calls).get(&id).cloned()
    }

    /// Requests that were not answered yet.
    pub(crate) fn calls(&self) -> Vec<Arc<Call>> {
        lock(&self.calls).values().cloned().collect()
    }

    /// Takes no more requests, and ends after the last one.
    pub(crate) fn drain(&self) {
        let calls = lock(&self.calls);
        self.draining.store(true, Ordering::SeqCst);
        if calls.is_empty() {
            self.ended.notify_one();
        }
    }

    pub(crate) fn configuration(&self) -> Arc<Configuration> {
        lock(&self.configuration).clone()
    }

    pub(crate) fn set_configuration(&self, configuration: Configuration) {
        *lock(&self.configuration) = Arc::new(configuration);
    }

    /// Sends a frame that carries nothing but its numbers.
    pub(crate) fn push_bare(&self, kind: Kind, id: u64, call: u32) {
        // A frame without tail and body breaks no limit.
        let _ = self.push(&Frame {
            call,
            ..Frame::bare(kind, id)
        });
    }
}

/// The value behind a mutex, whatever happened to whoever held it: nothing here is left half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
