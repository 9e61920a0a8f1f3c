//! The engine that asks the process which has the files open.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tenon_model::InstanceId;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, Semaphore, broadcast, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::frame::{Frame, FrameKind, Hello, PROTOCOL, encode, encode_any};
use crate::engine::{Call, Engine, Event, Reply, RequestClass};
use crate::error::StoreError;
use crate::settings::ClientSettings;

/// How many bytes of small frames are put into one write.
const WRITE_BATCH_BYTES: usize = 64 * 1024;

/// A client of the store's socket: connects again when the connection is lost, and repeats what was not answered.
#[derive(Debug)]
pub struct RemoteEngine {
    shared: Arc<Shared>,
    settings: ClientSettings,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Shared {
    calls: Mutex<Calls>,
    /// There is something to send.
    wake: Notify,
    next_id: AtomicU64,
    permits: Semaphore,
    events: broadcast::Sender<Event>,
    connected: watch::Sender<bool>,
    /// Why there is no connection, for errors.
    trouble: Mutex<String>,
}

/// Calls without an answer.
#[derive(Debug, Default)]
struct Calls {
    pending: BTreeMap<u64, PendingCall>,
    /// Those not sent on the present connection, in their order.
    unsent: VecDeque<u64>,
}

#[derive(Debug)]
struct PendingCall {
    frame: Bytes,
    answer: oneshot::Sender<Result<Reply, StoreError>>,
    was_sent: bool,
}

impl RemoteEngine {
    /// A client of this socket, under this name. Connects in the background, on the runtime that this is called on, for as
    /// long as the engine lives.
    pub fn connect(socket: &Path, settings: ClientSettings, name: &str, instance: InstanceId) -> Self {
        let shared = Arc::new(Shared {
            calls: Mutex::default(),
            wake: Notify::new(),
            next_id: AtomicU64::new(1),
            permits: Semaphore::new(settings.in_flight_max.max(1)),
            events: broadcast::Sender::new(settings.events_max.max(1)),
            connected: watch::Sender::new(false),
            trouble: Mutex::new("no connection was made yet".to_owned()),
        });
        let stop = CancellationToken::new();
        let connector = Connector {
            shared: Arc::clone(&shared),
            socket: socket.to_owned(),
            settings: settings.clone(),
            hello: Hello {
                protocol: PROTOCOL,
                name: name.to_owned(),
                instance,
            },
        };
        let tasks = TaskTracker::new();
        tasks.spawn(stop.clone().run_until_cancelled_owned(connector.run()));
        Self {
            shared,
            settings,
            _stop: stop.drop_guard(),
        }
    }
}

#[async_trait]
impl Engine for RemoteEngine {
    async fn execute(&self, call: Call) -> Result<Reply, StoreError> {
        let deadline = Instant::now() + self.settings.call_timeout.0;
        let is_write = call.request.class() == RequestClass::Write;
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let frame = encode_any(FrameKind::Call, id, call, self.settings.frame_max_bytes).await?;
        let Ok(Ok(_permit)) = timeout_at(deadline, self.shared.permits.acquire()).await else {
            return Err(self.shared.unavailable("too many calls are under way", false));
        };
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting::begin(&self.shared, id, frame, answer);
        if let Ok(Ok(result)) = timeout_at(deadline, answered).await {
            return result;
        }
        let maybe_done = waiting.give_up() && is_write;
        Err(self.shared.unavailable("no answer in time", maybe_done))
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }

    fn connected(&self) -> watch::Receiver<bool> {
        self.shared.connected.subscribe()
    }
}

/// A call that somebody waits for; it is no longer sent, nor repeated, when nobody does.
struct Waiting<'a> {
    shared: &'a Shared,
    id: u64,
}

impl<'a> Waiting<'a> {
    fn begin(shared: &'a Shared, id: u64, frame: Bytes, answer: oneshot::Sender<Result<Reply, StoreError>>) -> Self {
        let call = PendingCall {
            frame,
            answer,
            was_sent: false,
        };
        let mut calls = shared.calls();
        calls.pending.insert(id, call);
        calls.unsent.push_back(id);
        drop(calls);
        shared.wake.notify_one();
        Self { shared, id }
    }

    /// Stops waiting; whether the call may have reached the store.
    fn give_up(&self) -> bool {
        let call = self.shared.calls().pending.remove(&self.id);
        call.is_none_or(|call| call.was_sent)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.calls().pending.remove(&self.id);
    }
}

impl Shared {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unavailable(&self, what: &str, maybe_done: bool) -> StoreError {
        let detail = if *self.connected.borrow() {
            what.to_owned()
        } else {
            let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
            format!("{what}; {trouble}")
        };
        StoreError::Unavailable { detail, maybe_done }
    }

    /// Puts what is to be sent into the batch, up to its size.
    fn take_unsent(&self, batch: &mut BytesMut) {
        let mut calls = self.calls();
        while batch.len() < WRITE_BATCH_BYTES {
            let Some(id) = calls.unsent.pop_front() else { break };
            // A call that nobody waits for any more is not there.
            if let Some(call) = calls.pending.get_mut(&id) {
                call.was_sent = true;
                batch.extend_from_slice(&call.frame);
            }
        }
    }

    /// On a new connection nothing has been sent.
    fn repeat_all(&self) {
        let mut calls = self.calls();
        let Calls { pending, unsent } = &mut *calls;
        *unsent = pending.keys().copied().collect();
    }

    fn take_frame(&self, frame: &Frame) -> Result<(), StoreError> {
        match frame.kind {
            FrameKind::Answer => {
                let result: Result<Reply, StoreError> = frame.decode()?;
                let call = self.calls().pending.remove(&frame.id);
                if let Some(call) = call {
                    // Who gave up in this moment no longer wants it.
                    let _ = call.answer.send(result);
                }
                Ok(())
            }
            FrameKind::Event => {
                let _ = self.events.send(frame.decode()?);
                Ok(())
            }
            kind => Err(StoreError::Protocol(format!("a frame of kind {kind:?} from the store"))),
        }
    }
}

/// Makes connections, one after the other.
struct Connector {
    shared: Arc<Shared>,
    socket: PathBuf,
    settings: ClientSettings,
    hello: Hello,
}

impl Connector {
    async fn run(self) {
        let mut pause = self.settings.reconnect_min.0;
        let mut was_connected = false;
        let mut told = false;
        loop {
            let connection = timeout(self.settings.hello_timeout.0, self.greet()).await;
            let ended = match connection {
                Ok(Ok((read, write))) => {
                    tracing::debug!(socket = %self.socket.display(), "connected to the store");
                    pause = self.settings.reconnect_min.0;
                    told = false;
                    let error = self.serve(read, write, was_connected).await;
                    was_connected = true;
                    error
                }
                Ok(Err(error)) => error,
                Err(_) => StoreError::Protocol("the store did not greet in time".to_owned()),
            };
            if !told {
                tracing::warn!(error = %ended, socket = %self.socket.display(), "no connection to the store");
                told = true;
            }
            *self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner) = ended.to_string();
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(self.settings.reconnect_max.0);
        }
    }

    async fn greet(&self) -> Result<(BufReader<OwnedReadHalf>, OwnedWriteHalf), StoreError> {
        let lost = |error: std::io::Error| StoreError::Protocol(format!("{}: {error}", self.socket.display()));
        let stream = UnixStream::connect(&self.socket).await.map_err(lost)?;
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read);
        let max_bytes = self.settings.frame_max_bytes;
        let hello = encode(FrameKind::Hello, 0, &self.hello, max_bytes)?;
        write.write_all(&hello).await.map_err(lost)?;
        let Some(frame) = Frame::read(&mut read, max_bytes).await? else {
            return Err(StoreError::Protocol("the store closed the connection".to_owned()));
        };
        match frame.kind {
            FrameKind::Welcome => Ok((read, write)),
            FrameKind::Refused => Err(frame.decode()?),
            kind => Err(StoreError::Protocol(format!(
                "a frame of kind {kind:?} instead of a welcome"
            ))),
        }
    }

    /// Sends and receives until the connection is lost; why it was.
    async fn serve(&self, read: BufReader<OwnedReadHalf>, write: OwnedWriteHalf, was_connected: bool) -> StoreError {
        self.shared.repeat_all();
        self.shared.connected.send_replace(true);
        if was_connected {
            let _ = self.shared.events.send(Event::Reconnected);
        }
        let error = tokio::select! {
            error = self.read_frames(read) => error,
            error = self.write_calls(write) => error,
        };
        self.shared.connected.send_replace(false);
        error
    }

    async fn read_frames(&self, mut read: BufReader<OwnedReadHalf>) -> StoreError {
        loop {
            let taken = match Frame::read(&mut read, self.settings.frame_max_bytes).await {
                Ok(Some(frame)) if frame.is_long() => self.take_long(frame).await,
                Ok(Some(frame)) => self.shared.take_frame(&frame),
                Ok(None) => Err(StoreError::Protocol("the store closed the connection".to_owned())),
                Err(error) => Err(error),
            };
            if let Err(error) = taken {
                return error;
            }
        }
    }

    /// Takes a frame beside the runtime; the next one waits, so that they stay in order.
    async fn take_long(&self, frame: Frame) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        let taken = tokio::task::spawn_blocking(move || shared.take_frame(&frame)).await;
        taken.unwrap_or_else(|error| Err(StoreError::Protocol(format!("a frame could not be decoded: {error}"))))
    }

    async fn write_calls(&self, mut write: OwnedWriteHalf) -> StoreError {
        let mut batch = BytesMut::new();
        loop {
            self.shared.take_unsent(&mut batch);
            if batch.is_empty() {
                self.shared.wake.notified().await;
                // The tasks that are ready may have calls too.
                tokio::task::yield_now().await;
                continue;
            }
            if let Err(error) = write.write_all(&batch).await {
                return StoreError::Protocol(format!("the connection was lost: {error}"));
            }
            batch.clear();
        }
    }
}
