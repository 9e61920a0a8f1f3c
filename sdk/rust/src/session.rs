//! A connection to a server from the hello to its end: reads frames, runs what they ask for.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::FutureExt;
use rustix::net::RecvFlags;
use tenon_protocol::worker::{
    Frame, Hello, Kind, Limits, Message, PROTOCOL_VERSION, ReplyFrame, RequestFrame, Violation, decode,
};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::runtime::Handle;

use crate::call::{Call, Unanswered};
use crate::config::Configuration;
use crate::context::{CURRENT, Context};
use crate::error::Error;
use crate::link::{HostAnswer, Link, lock};
use crate::panics;
use crate::reply::{Content, Write, of_error, raised};
use crate::service::Entry;
use crate::stream::BodyWriter;

/// Values that handlers share, by type.
pub(crate) type Shared = HashMap<TypeId, Arc<dyn Any + Send + Sync>>;

/// How much is read at once.
const READ_BYTES: usize = 64 << 10;

/// How long the thread that reads may be busy with a handler before another one answers pings in its place.
const STAND_IN_AFTER: Duration = Duration::from_secs(1);

/// How a session ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The server closed the connection.
    Closed,
    /// The server asked for the end, and all calls are answered.
    Drained,
    /// The server broke the protocol.
    Violated(Violation),
}

/// A worker's connection to its server.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) link: Arc<Link>,
    entries: Vec<Arc<Entry>>,
    shared: Arc<Shared>,
    socket: UnixStream,
    inbox: Mutex<BytesMut>,
    runtime: Handle,
    reads: AtomicU64,
    stop: tokio::sync::Notify,
    violation: Mutex<Option<Violation>>,
}

impl Session {
    /// A session on a socket. Has to be made within the runtime that will run the handlers.
    pub(crate) fn new(link: Arc<Link>, entries: Vec<Arc<Entry>>, shared: Arc<Shared>, socket: UnixStream) -> Arc<Self> {
        Arc::new(Self {
            link,
            entries,
            shared,
            socket,
            inbox: Mutex::default(),
            runtime: Handle::current(),
            reads: AtomicU64::new(0),
            stop: tokio::sync::Notify::new(),
            violation: Mutex::default(),
        })
    }

    /// Says hello and runs what is asked for, until the end.
    pub(crate) async fn serve(self: &Arc<Self>, hello: Hello) -> Ended {
        if let Err(violation) = self.link.push(&Message::Hello(hello).into_frame()) {
            return Ended::Violated(violation);
        }
        let (writer, socket) = (self.link.clone(), self.clone());
        let writer = tokio::spawn(async move { writer.write(&socket.socket).await });
        let ended = tokio::select! {
            ended = self.read() => ended,
            () = self.stop.notified() => match lock(&self.violation).take() {
                Some(violation) => Ended::Violated(violation),
                None => Ended::Closed,
            },
            () = self.link.ended.notified() => Ended::Drained,
        };
        self.link.close();
        if matches!(ended, Ended::Drained) {
            // The last answers are on their way.
            let _ = writer.await;
        } else {
            writer.abort();
            for call in self.link.calls() {
                call.cancel();
            }
        }
        // Whoever still holds the session keeps no server waiting.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        ended
    }

    async fn read(self: &Arc<Self>) -> Ended {
        loop {
            match self.read_once() {
                Ok(true) => self.reads.fetch_add(1, Ordering::Relaxed),
                Ok(false) => return Ended::Closed,
                Err(violation) => return Ended::Violated(violation),
            };
            if self.socket.readable().await.is_err() {
                return Ended::Closed;
            }
        }
    }

    /// Reads what there is and handles the frames that are whole; false at the end of the connection.
    fn read_once(self: &Arc<Self>) -> Result<bool, Violation> {
        let mut inbox = lock(&self.inbox);
        loop {
            if inbox.capacity() - inbox.len() < READ_BYTES / 16 {
                inbox.reserve(READ_BYTES);
            }
            let mut is_all = false;
            let room = inbox.capacity() - inbox.len();
            let read = self.socket.try_io(Interest::READABLE, || {
                let read = self.socket.try_read_buf(&mut *inbox)?;
                is_all = (1..room).contains(&read);
                // There was no more than that, so the system need not be asked again. What it has told since this
                // attempt began is not forgotten.
                if is_all {
                    Err(ErrorKind::WouldBlock.into())
                } else {
                    Ok(read)
                }
            });
            match read {
                Ok(0) => return Ok(false),
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Ok(false),
                Err(_) if !is_all => return Ok(true),
                _ => self.handle_all(&mut inbox)?,
            }
            if is_all {
                return Ok(true);
            }
        }
    }

    fn handle_all(self: &Arc<Self>, inbox: &mut BytesMut) -> Result<(), Violation> {
        while let Some(frame) = decode(inbox, &self.link.limits)? {
            self.handle(frame)?;
        }
        Ok(())
    }

    fn handle(self: &Arc<Self>, frame: Frame) -> Result<(), Violation> {
        let kind = frame.kind;
        match kind {
            Kind::HostReturn => {
                let answer = HostAnswer {
                    code: frame.code,
                    is_json: frame.has(tenon_protocol::worker::FLAG_JSON),
                    tail: frame.tail,
                    body: frame.body,
                };
                self.link.deliver(frame.call, answer);
                return Ok(());
            }
            // Sent back as it is.
            Kind::Ping => return self.link.push(&frame),
            _ => {}
        }
        match Message::from_frame(frame)? {
            Message::Request(request) => self.begin(request),
            Message::Cancel { id } => {
                if let Some(call) = self.link.call(id) {
                    call.cancel();
                }
                Ok(())
            }
            Message::Drain => {
                self.link.drain();
                Ok(())
            }
            Message::Config(body) => {
                self.link.set_configuration(Configuration::parse(&body)?);
                Ok(())
            }
            // Those of calls that have ended are of no interest.
            Message::Chunk(chunk) => match self.link.call(chunk.id) {
                Some(call) => call.incoming.as_ref().map_or(Ok(()), |incoming| incoming.push(chunk)),
                None => Ok(()),
            },
            Message::Credit { id, bytes } => self.link.call(id).map_or(Ok(()), |call| call.credit.grant(bytes)),
            _ => Err(Violation::Malformed {
                kind,
                part: "direction",
                source: None,
            }),
        }
    }

    fn begin(self: &Arc<Self>, request: RequestFrame) -> Result<(), Violation> {
        let Some(entry) = self.entries.get(usize::from(request.service)).cloned() else {
            let error = Error::new(404, format!("the worker has no service {}", request.service));
            return self.refuse(&request, error);
        };
        let (id, cid) = (request.id, request.cid.clone());
        let call = Arc::new(Call::new(request, entry, self.link.clone(), self.shared.clone()));
        if !self.link.begin(&call) {
            let reply = of_error(
                Error::new(503, "the worker is draining"),
                id,
                &String::from_utf8_lossy(&cid),
            );
            return self.link.push(&Message::Reply(reply).into_frame());
        }
        let task = self.runtime.spawn(run(call.clone()));
        call.set_task(task.abort_handle());
        Ok(())
    }

    fn refuse(&self, request: &RequestFrame, error: Error) -> Result<(), Violation> {
        let reply = of_error(error, request.id, &String::from_utf8_lossy(&request.cid));
        self.link.push(&Message::Reply(reply).into_frame())
    }

    /// Looks, from a thread of its own, whether frames wait while handlers keep the runtime's thread busy; then answers pings
    /// and takes note of cancelled calls in its place. Never comes back.
    pub(crate) fn stand_in(self: &Arc<Self>) {
        let mut last = self.reads.load(Ordering::Relaxed);
        loop {
            std::thread::sleep(STAND_IN_AFTER);
            let now = self.reads.load(Ordering::Relaxed);
            if now == last && self.has_input() {
                self.read_beside();
            }
            last = now;
        }
    }

    fn has_input(&self) -> bool {
        let mut byte = [0_u8; 1];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        matches!(rustix::net::recv(&self.socket, &mut byte[..], flags), Ok((count, _)) if count > 0)
    }

    fn read_beside(self: &Arc<Self>) {
        let mut inbox = lock(&self.inbox);
        let mut bytes = vec![0_u8; READ_BYTES];
        let Ok((read, _)) = rustix::net::recv(&self.socket, &mut bytes[..], RecvFlags::DONTWAIT) else {
            return;
        };
        inbox.extend_from_slice(&bytes[..read]);
        if let Err(violation) = self.handle_all(&mut inbox) {
            *lock(&self.violation) = Some(violation);
            self.stop.notify_one();
            return;
        }
        drop(inbox);
        let _ = self.link.flush(&self.socket);
    }

    /// What the worker says first.
    pub(crate) fn hello(&self, threads: usize, file: &str) -> Hello {
        Hello {
            protocol: PROTOCOL_VERSION,
            pid: std::process::id(),
            python: String::new(),
            threads: u32::try_from(threads).unwrap_or(u32::MAX),
            services: self.entries.iter().map(|entry| entry.describe(file)).collect(),
            refused: Vec::new(),
        }
    }
}

/// The limits of frames with bodies up to a size.
pub(crate) fn limits(body_bytes: Option<usize>) -> Limits {
    let default = Limits::default();
    Limits {
        body_bytes: body_bytes.unwrap_or(default.body_bytes),
        ..default
    }
}

/// Runs a call to its end and sends the answer. Dropping it on the way says that the call was cancelled.
async fn run(call: Arc<Call>) {
    let unanswered = Unanswered::new(call.clone());
    CURRENT
        .scope(Context::new(call.clone()), async move {
            let reply = if call.is_late() {
                Err(Error::new(504, "The deadline passed before the service was run"))
            } else {
                caught(call.entry.run(&call)).await
            };
            let reply = match reply {
                Ok(reply) => reply,
                Err(error) => {
                    crate::reply::log(&error);
                    let reply = of_error(error, call.id, &call.cid);
                    unanswered.answer(reply, |text| too_large(&call, &text)).await;
                    return;
                }
            };
            let head = reply.head(call.id);
            match reply.content {
                // Few calls do that, so that it is not to take room in the state of all.
                Content::Stream(write) => Box::pin(stream(&call, unanswered, head, write)).await,
                _ => unanswered.answer(head, |text| too_large(&call, &text)).await,
            }
        })
        .await;
}

/// Sends an answer in pieces.
async fn stream(call: &Arc<Call>, mut unanswered: Unanswered, head: ReplyFrame, write: Write) {
    if let Err(violation) = unanswered.begin_stream(head).await {
        unanswered
            .answer(too_large(call, &violation.to_string()), |text| too_large(call, &text))
            .await;
        return;
    }
    let written = caught(write(BodyWriter::new(call.clone()))).await;
    unanswered.end_stream(written.err().map(|error| {
        tracing::error!("the answer was cut off: {error}");
        (error.status(), "the service did not finish its answer")
    }));
}

/// What a future gives; a panic in it is an error like any other.
async fn caught<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match AssertUnwindSafe(future).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => Err(panics::error_of(&*panic)),
    }
}

fn too_large(call: &Call, violation: &str) -> ReplyFrame {
    let message = format!("the service's answer can't be sent: {violation}");
    raised(call.id, &call.cid, "AnswerTooLarge".to_owned(), message, String::new())
}
