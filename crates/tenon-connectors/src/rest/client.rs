//! An HTTP/1.1 client of one origin with a pool of connections of its own. It sends a request once; retries after an answer
//! and what a request means are its caller's business.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response, request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::connect::Dialer;

/// How long a pooled connection may take to say that it is ready for the next request before it counts as dead.
const READY_WAIT: Duration = Duration::from_millis(100);

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SendError {
    /// Nothing was sent: the other side can't be reached, or no connection became free.
    NotSent(String),
    /// Nothing was sent, and nothing will be: the connection was closed by its owner.
    Closed,
    /// It was sent, at least in part, and the connection broke before the answer.
    Broken(String),
    /// It was sent, and no whole answer came in time.
    TimedOut,
    /// What came is no usable answer.
    BadAnswer(String),
}

/// How a client holds its connections.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub connections_max: u32,
    pub connect_timeout: Duration,
    pub idle_timeout: Duration,
    pub response_limit_bytes: u64,
}

/// The client. Its connections end when it is dropped.
#[derive(Debug)]
pub(super) struct Client {
    shared: Arc<Shared>,
    dialer: Dialer,
    limits: Limits,
    permits: Semaphore,
    tasks: TaskTracker,
    _stop: DropGuard,
}

/// What the task that closes idle connections needs of the client.
#[derive(Debug, Default)]
struct Shared {
    idle: Mutex<Vec<Idle>>,
    in_use: AtomicUsize,
    is_closed: AtomicBool,
}

#[derive(Debug)]
struct Idle {
    sender: SendRequest<Full<Bytes>>,
    since: Instant,
}

/// A request whose parts can be sent again.
#[derive(Debug, Clone)]
pub(super) struct Outbound {
    pub head: request::Parts,
    pub body: Bytes,
}

impl Client {
    /// A client that has not connected yet. Must be called within a tokio runtime.
    pub(super) fn new(dialer: Dialer, limits: Limits) -> Self {
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared::default());
        let tasks = TaskTracker::new();
        tasks.spawn(close_idle(Arc::clone(&shared), limits.idle_timeout, stop.clone()));
        Self {
            shared,
            dialer,
            permits: Semaphore::new(limits.connections_max as usize),
            limits,
            tasks,
            _stop: stop.drop_guard(),
        }
    }

    /// Sends a request and reads the whole answer.
    ///
    /// A pooled connection that turns out to be dead is replaced: always if nothing was sent on it, and once if the request
    /// is idempotent and nothing was answered.
    pub(super) async fn send(&self, outbound: &Outbound, deadline: Instant) -> Result<Response<Bytes>, SendError> {
        let _in_use = self.take_permit(deadline).await?;
        while let Some(sender) = self.take_idle().await {
            match self.exchange(sender, outbound, deadline).await {
                Err(Attempt {
                    error: SendError::NotSent(_),
                    ..
                }) => {}
                Err(Attempt {
                    error: SendError::Broken(_),
                    was_answered: false,
                }) if outbound.head.method.is_idempotent() => {
                    // The server dropped its idle connections, or was restarted: the others are dead as well.
                    self.shared.idle().clear();
                }
                other => return other.map_err(|attempt| attempt.error),
            }
        }
        let sender = self.connect(deadline).await?;
        self.exchange(sender, outbound, deadline)
            .await
            .map_err(|attempt| attempt.error)
    }

    /// Takes no more requests and closes the connections that are idle.
    pub(super) fn close(&self) {
        self.shared.is_closed.store(true, Ordering::SeqCst);
        self.permits.close();
        self.shared.idle().clear();
        self.tasks.close();
    }

    /// Connections that exist, and those among them that are in use.
    pub(super) fn connections(&self) -> (usize, usize) {
        let in_use = self.shared.in_use.load(Ordering::SeqCst);
        (in_use + self.shared.idle().len(), in_use)
    }

    async fn take_permit(&self, deadline: Instant) -> Result<InUse<'_>, SendError> {
        let permit = timeout_at(deadline, self.permits.acquire()).await.map_err(|_| {
            let max = self.limits.connections_max;
            SendError::NotSent(format!(
                "all {max} connections are in use, and none became free in time"
            ))
        })?;
        let permit = permit.map_err(|_| SendError::Closed)?;
        self.shared.in_use.fetch_add(1, Ordering::SeqCst);
        Ok(InUse {
            shared: &self.shared,
            _permit: permit,
        })
    }

    /// The connection that was used last among those that look alive.
    async fn take_idle(&self) -> Option<SendRequest<Full<Bytes>>> {
        loop {
            let mut idle = self.shared.idle().pop()?;
            if idle.since.elapsed() >= self.limits.idle_timeout || idle.sender.is_closed() {
                continue;
            }
            if let Ok(Ok(())) = timeout(READY_WAIT, idle.sender.ready()).await {
                return Some(idle.sender);
            }
        }
    }

    async fn connect(&self, deadline: Instant) -> Result<SendRequest<Full<Bytes>>, SendError> {
        let by = deadline.min(Instant::now() + self.limits.connect_timeout);
        let stream = self.dialer.dial(by).await.map_err(SendError::NotSent)?;
        let (sender, connection) = http1::handshake(stream)
            .await
            .map_err(|error| SendError::NotSent(error.to_string()))?;
        // Ends when the sender is dropped; what fails in it is reported to the request that is on it.
        self.tasks.spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }

    async fn exchange(
        &self,
        mut sender: SendRequest<Full<Bytes>>,
        outbound: &Outbound,
        deadline: Instant,
    ) -> Result<Response<Bytes>, Attempt> {
        let request = Request::from_parts(outbound.head.clone(), Full::new(outbound.body.clone()));
        let answer = timeout_at(deadline, sender.try_send_request(request)).await;
        let response = match answer {
            Err(_) => return Err(Attempt::unanswered(SendError::TimedOut)),
            Ok(Ok(response)) => response,
            Ok(Err(mut error)) => {
                let was_sent = error.take_message().is_none();
                let error = error.into_error();
                let message = error_chain(&error);
                return Err(if error.is_parse() {
                    Attempt::answered(SendError::BadAnswer(format!("the answer is not HTTP/1.1: {message}")))
                } else if was_sent {
                    Attempt::unanswered(SendError::Broken(message))
                } else {
                    Attempt::unanswered(SendError::NotSent(message))
                });
            }
        };
        let response = timeout_at(deadline, collect(response, self.limits.response_limit_bytes))
            .await
            .unwrap_or(Err(SendError::TimedOut))
            .map_err(Attempt::answered)?;
        self.give_back(sender);
        Ok(response)
    }

    fn give_back(&self, sender: SendRequest<Full<Bytes>>) {
        if !sender.is_closed() && !self.shared.is_closed.load(Ordering::SeqCst) {
            self.shared.idle().push(Idle {
                sender,
                since: Instant::now(),
            });
        }
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a connection as in use while a request is on it, also when the request is given up.
struct InUse<'a> {
    shared: &'a Shared,
    _permit: SemaphorePermit<'a>,
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        self.shared.in_use.fetch_sub(1, Ordering::SeqCst);
    }
}

/// How an exchange on one connection failed.
struct Attempt {
    error: SendError,
    /// Whether anything of an answer had come.
    was_answered: bool,
}

impl Attempt {
    fn unanswered(error: SendError) -> Self {
        Self {
            error,
            was_answered: false,
        }
    }

    fn answered(error: SendError) -> Self {
        Self {
            error,
            was_answered: true,
        }
    }
}

async fn close_idle(shared: Arc<Shared>, idle_timeout: Duration, stop: CancellationToken) {
    let mut ticks = tokio::time::interval((idle_timeout / 2).max(Duration::from_millis(50)));
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if shared.is_closed.load(Ordering::SeqCst) {
            return;
        }
        shared
            .idle()
            .retain(|idle| !idle.sender.is_closed() && idle.since.elapsed() < idle_timeout);
    }
    shared.is_closed.store(true, Ordering::SeqCst);
    shared.idle().clear();
}

async fn collect(response: Response<Incoming>, limit_bytes: u64) -> Result<Response<Bytes>, SendError> {
    let too_large = || {
        SendError::BadAnswer(format!(
            "the answer is larger than {limit_bytes} bytes (response_limit_bytes)"
        ))
    };
    let (head, mut incoming) = response.into_parts();
    let announced = hyper::body::Body::size_hint(&incoming).exact();
    if announced.is_some_and(|length| length > limit_bytes) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| {
            SendError::BadAnswer(format!(
                "the connection broke off within the answer: {}",
                error_chain(&error)
            ))
        })?;
        if let Ok(data) = frame.into_data() {
            if body.len() as u64 + data.len() as u64 > limit_bytes {
                return Err(too_large());
            }
            body.extend_from_slice(&data);
        }
    }
    Ok(Response::from_parts(head, body.freeze()))
}

/// An error with its causes, in one line.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
