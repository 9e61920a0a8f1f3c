//! The process that has the files open, for its clients.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use tenon_model::InstanceId;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, broadcast, mpsc};
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::frame::{Frame, FrameKind, Hello, PROTOCOL, encode, encode_any};
use crate::engine::{Call, Engine, Event, Reply, Request};
use crate::error::StoreError;
use crate::members::MemberRequest;
use crate::settings::SocketSettings;

/// How many bytes of small frames are put into one write.
const WRITE_BATCH_BYTES: usize = 64 * 1024;

/// Serves an engine on a Unix socket that only the owner of the environment may open.
#[derive(Debug)]
pub struct StoreServer {
    listener: UnixListener,
    socket: PathBuf,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    engine: Arc<dyn Engine>,
    settings: SocketSettings,
    connections: Arc<Semaphore>,
    next_connection: AtomicU64,
    /// On which connection a member last spoke: only the end of that one says that it died.
    speakers: Mutex<BTreeMap<String, u64>>,
}

impl StoreServer {
    /// Listens; to be called on a runtime. A socket file that is there already is replaced: whoever has the engine open is
    /// the only one to serve it.
    pub fn bind(socket: &Path, settings: SocketSettings, engine: Arc<dyn Engine>) -> Result<Self, StoreError> {
        let cant =
            |error: std::io::Error| StoreError::Storage(format!("can't listen on {}: {error}", socket.display()));
        // Under its name the socket is never open to anybody else, not even between being made and being protected.
        let unprotected = socket.with_file_name(".s");
        for stale in [socket, &unprotected] {
            match std::fs::remove_file(stale) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(cant(error)),
                _ => {}
            }
        }
        let listener = UnixListener::bind(&unprotected).map_err(cant)?;
        std::fs::set_permissions(&unprotected, std::fs::Permissions::from_mode(0o600)).map_err(cant)?;
        std::fs::rename(&unprotected, socket).map_err(cant)?;
        let shared = Shared {
            engine,
            connections: Arc::new(Semaphore::new(settings.connections_max)),
            settings,
            next_connection: AtomicU64::new(1),
            speakers: Mutex::default(),
        };
        Ok(Self {
            listener,
            socket: socket.to_owned(),
            shared: Arc::new(shared),
        })
    }

    /// Serves until it is told to stop, or until the engine fails for good: then the process must end. Told to stop, it
    /// answers what it has read, for as long as the settings say.
    pub async fn run(self, stop: CancellationToken) -> Result<(), StoreError> {
        let stop = stop.child_token();
        let tasks = TaskTracker::new();
        tasks.spawn(maintain(Arc::clone(&self.shared), stop.clone()));
        let result = tokio::select! {
            () = stop.cancelled() => Ok(()),
            error = self.shared.engine.failed() => Err(error),
            error = accept(&self.listener, &self.shared, &tasks, &stop) => Err(error),
        };
        stop.cancel();
        drop(self.listener);
        let _ = std::fs::remove_file(&self.socket);
        tasks.close();
        if result.is_ok()
            && timeout(self.shared.settings.stop_timeout.0, tasks.wait())
                .await
                .is_err()
        {
            tracing::warn!("clients of the store did not take their answers in time");
        }
        result
    }
}

async fn maintain(shared: Arc<Shared>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(shared.settings.maintain_every.0);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        match shared.engine.maintain().await {
            // A failure for good ends the server by another way.
            Ok(()) | Err(StoreError::Fatal(_)) => {}
            Err(error) => tracing::warn!(%error, "the store could not be tidied"),
        }
    }
}

/// Takes connections; returns only if the listener fails.
async fn accept(
    listener: &UnixListener,
    shared: &Arc<Shared>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> StoreError {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Too many open files, and the like: it may pass.
            Err(error) if error.raw_os_error().is_some() => {
                tracing::warn!(%error, "a connection to the store could not be taken");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
            Err(error) => return StoreError::Storage(format!("can't take connections: {error}")),
        };
        let number = shared.next_connection.fetch_add(1, Ordering::Relaxed);
        tasks.spawn(serve(stream, number, Arc::clone(shared), stop.clone()));
    }
}

/// One client, from its hello to its end.
async fn serve(stream: UnixStream, number: u64, shared: Arc<Shared>, stop: CancellationToken) {
    let settings = &shared.settings;
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let events = shared.engine.events();
    // Held until the connection ends.
    let place = Arc::clone(&shared.connections).try_acquire_owned();
    let greeted = if place.is_ok() {
        let hello = timeout(
            settings.hello_timeout.0,
            take_hello(&mut read, settings.frame_max_bytes),
        )
        .await;
        hello.unwrap_or_else(|_| Err(StoreError::Protocol("no hello in time".to_owned())))
    } else {
        Err(StoreError::Conflict(format!(
            "{} clients are connected, which is the most",
            settings.connections_max
        )))
    };
    let hello = match greeted {
        Ok(hello) => hello,
        Err(error) => {
            tracing::warn!(%error, "a connection to the store was refused");
            if let Ok(frame) = encode(FrameKind::Refused, 0, &error, usize::MAX) {
                let _ = timeout(settings.write_timeout.0, write.write_all(&frame)).await;
            }
            return;
        }
    };
    tracing::debug!(client = %hello.name, instance = %hello.instance, "a client of the store connected");
    let connection = Connection {
        number,
        client: hello.name.clone(),
        shared: Arc::clone(&shared),
        calls: TaskTracker::new(),
        spoke: Mutex::default(),
    };
    connection.serve(read, write, events, &stop).await;
    drop(place);
    tracing::debug!(client = %hello.name, instance = %hello.instance, "a client of the store left");
}

async fn take_hello(read: &mut BufReader<OwnedReadHalf>, max_bytes: usize) -> Result<Hello, StoreError> {
    let frame = Frame::read(read, max_bytes).await?;
    let Some(frame) = frame.filter(|frame| frame.kind == FrameKind::Hello) else {
        return Err(StoreError::Protocol("the first frame is no hello".to_owned()));
    };
    let hello: Hello = frame.decode()?;
    if hello.protocol != PROTOCOL {
        return Err(StoreError::Protocol(format!(
            "{} speaks version {}, the store speaks {PROTOCOL}",
            hello.name, hello.protocol
        )));
    }
    Ok(hello)
}

/// A client that was welcomed.
struct Connection {
    number: u64,
    /// What the client calls itself.
    client: String,
    shared: Arc<Shared>,
    calls: TaskTracker,
    /// The members that spoke on this connection.
    spoke: Mutex<BTreeSet<(String, InstanceId)>>,
}

impl Connection {
    async fn serve(
        self,
        read: BufReader<OwnedReadHalf>,
        write: OwnedWriteHalf,
        events: broadcast::Receiver<Event>,
        stop: &CancellationToken,
    ) {
        let connection = Arc::new(self);
        let (answers, queue) = mpsc::channel(connection.shared.settings.in_flight_max.max(1));
        let broken = CancellationToken::new();
        let writer = TaskTracker::new();
        let write_loop = write_frames(write, queue, events, Arc::clone(&connection.shared));
        writer.spawn({
            let broken = broken.clone();
            async move {
                write_loop.await;
                broken.cancel();
            }
        });
        writer.close();
        let stopped = tokio::select! {
            () = stop.cancelled() => true,
            () = broken.cancelled() => false,
            () = connection.read_calls(read, answers) => false,
        };
        // Calls that were begun are done, whether or not the client is there to hear of it.
        connection.calls.close();
        connection.calls.wait().await;
        if stopped {
            // All senders are gone now, so the writer ends when it has sent the last answer.
            writer.wait().await;
        } else {
            connection.report_lost_members().await;
        }
    }

    /// Reads calls until the client leaves; one that has too many under way is not read from.
    async fn read_calls(self: &Arc<Self>, mut read: BufReader<OwnedReadHalf>, answers: mpsc::Sender<Bytes>) {
        let settings = &self.shared.settings;
        let in_flight = Arc::new(Semaphore::new(settings.in_flight_max.max(1)));
        loop {
            let Ok(permit) = Arc::clone(&in_flight).acquire_owned().await else {
                return;
            };
            let frame = match Frame::read(&mut read, settings.frame_max_bytes).await {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "a client of the store is no longer understood");
                    return;
                }
            };
            let (connection, answers) = (Arc::clone(self), answers.clone());
            let mut call = Box::pin(async move {
                if let Some(answer) = connection.answer(frame).await {
                    let _ = answers.send(answer).await;
                }
                drop(permit);
            });
            // What is answered from memory is done at once.
            if poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_pending())).await {
                self.calls.spawn(call);
            }
        }
    }

    /// Does a call; none if the client must repeat it with the next process.
    async fn answer(&self, frame: Frame) -> Option<Bytes> {
        let id = frame.id;
        let result = match call_of(frame).await {
            Ok(call) => self.execute(call).await,
            Err(error) => Err(error),
        };
        if let Err(StoreError::Fatal(_)) = result {
            return None;
        }
        let max_bytes = self.shared.settings.frame_max_bytes;
        let answer = encode_any(FrameKind::Answer, id, result, max_bytes).await;
        answer
            .or_else(|error| encode(FrameKind::Answer, id, &Err::<Reply, StoreError>(error), max_bytes))
            .ok()
    }

    async fn execute(&self, call: Call) -> Result<Reply, StoreError> {
        // What a server passes on for a component without a store of its own says nothing of that component's connection.
        if let Request::Members(MemberRequest::Heartbeat(member)) = &call.request
            && member.name == self.client
        {
            let speaker = (member.name.clone(), member.instance.clone());
            lock(&self.shared.speakers).insert(member.name.clone(), self.number);
            lock(&self.spoke).insert(speaker);
        }
        self.shared.engine.execute(call).await
    }

    /// Who spoke on this connection and on no newer one is dead.
    async fn report_lost_members(&self) {
        let spoke = std::mem::take(&mut *lock(&self.spoke));
        for (name, instance) in spoke {
            {
                let mut speakers = lock(&self.shared.speakers);
                if speakers.get(&name) != Some(&self.number) {
                    continue;
                }
                speakers.remove(&name);
            }
            let call = Call {
                operation: None,
                request: MemberRequest::Lost { name, instance }.into(),
            };
            if let Err(error) = self.shared.engine.execute(call).await {
                tracing::warn!(%error, "a member's end could not be recorded");
            }
        }
    }
}

/// The call that a frame holds; a long one is decoded beside the runtime.
async fn call_of(frame: Frame) -> Result<Call, StoreError> {
    if frame.kind != FrameKind::Call {
        return Err(StoreError::Protocol(format!(
            "a frame of kind {:?} is no call",
            frame.kind
        )));
    }
    if !frame.is_long() {
        return frame.decode();
    }
    tokio::task::spawn_blocking(move || frame.decode())
        .await
        .unwrap_or_else(|error| Err(StoreError::Protocol(format!("a call could not be decoded: {error}"))))
}

/// Sends the welcome, answers and events until the connection breaks or no more answers can come.
async fn write_frames(
    mut write: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Bytes>,
    mut events: broadcast::Receiver<Event>,
    shared: Arc<Shared>,
) {
    let settings = &shared.settings;
    let Ok(mut batch) = encode(FrameKind::Welcome, 0, &PROTOCOL, usize::MAX).map(BytesMut::from) else {
        return;
    };
    loop {
        match timeout(settings.write_timeout.0, write.write_all(&batch)).await {
            Ok(Ok(())) => batch.clear(),
            Ok(Err(_)) => return,
            Err(_) => {
                tracing::warn!("a client of the store takes no answers; its connection is closed");
                return;
            }
        }
        tokio::select! {
            answer = queue.recv() => match answer {
                Some(answer) => batch.extend_from_slice(&answer),
                None => return,
            },
            event = events.recv() => match event_frame(&event) {
                Some(frame) => batch.extend_from_slice(&frame),
                None => return,
            },
        }
        while batch.len() < WRITE_BATCH_BYTES {
            let Ok(answer) = queue.try_recv() else { break };
            batch.extend_from_slice(&answer);
        }
    }
}

fn event_frame(event: &Result<Event, broadcast::error::RecvError>) -> Option<Bytes> {
    let event = match event {
        Ok(event) => *event,
        Err(broadcast::error::RecvError::Lagged(_)) => Event::Reconnected,
        Err(broadcast::error::RecvError::Closed) => return None,
    };
    encode(FrameKind::Event, 0, &event, usize::MAX).ok()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
