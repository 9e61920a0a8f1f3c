//! An HTTP/1.1 client of one origin with a pool of connections. It sends a request once; retries after an answer
//! and what a request means are its caller's business.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response, request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout, timeout_at};

use super::connect::Dialer;
use crate::pool::{NoSlot, Pool, Slot};

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
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub connections_max: u32,
    pub connect_timeout: Duration,
    pub idle_timeout: Duration,
    pub response_limit_bytes: u64,
}

/// The client. Its connections end when it is dropped.
#[derive(Debug)]
pub(super) struct Client {
    pool: Pool<Sender>,
    dialer: Dialer,
    connect_timeout: Duration,
    response_limit_bytes: u64,
}

/// A connection, as the requests on it see it.
type Sender = SendRequest<Full<Bytes>>;

impl From<NoSlot> for SendError {
    fn from(reason: NoSlot) -> Self {
        match reason {
            NoSlot::AllInUse(_) => Self::NotSent(reason.to_string()),
            NoSlot::Closed => Self::Closed,
        }
    }
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
        Self {
            pool: Pool::new(limits.connections_max, limits.idle_timeout, |sender: &Sender| {
                !sender.is_closed()
            }),
            dialer,
            connect_timeout: limits.connect_timeout,
            response_limit_bytes: limits.response_limit_bytes,
        }
    }

    /// Sends a request and reads the whole answer.
    ///
    /// A pooled connection that turns out to be dead is replaced: always if nothing was sent on it, and once if the request
    /// is idempotent and nothing was answered.
    pub(super) async fn send(&self, outbound: &Outbound, deadline: Instant) -> Result<Response<Bytes>, SendError> {
        let slot = self.pool.slot(deadline).await?;
        let answer = self.send_on(&slot, outbound, deadline).await;
        let (response, sender) = answer.map_err(|attempt| attempt.error)?;
        slot.give_back(sender);
        Ok(response)
    }

    async fn send_on(
        &self,
        slot: &Slot<Sender>,
        outbound: &Outbound,
        deadline: Instant,
    ) -> Result<(Response<Bytes>, Sender), Attempt> {
        while let Some((mut sender, _)) = slot.take_idle() {
            if !matches!(timeout(READY_WAIT, sender.ready()).await, Ok(Ok(()))) {
                continue;
            }
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
                    slot.drop_idle();
                }
                other => return other,
            }
        }
        let sender = self.connect(deadline).await.map_err(Attempt::unanswered)?;
        self.exchange(sender, outbound, deadline).await
    }

    /// Takes no more requests and closes the connections that are idle.
    pub(super) fn close(&self) {
        self.pool.close();
    }

    /// Its connections, for people to read.
    pub(super) fn status(&self) -> Map<String, Value> {
        self.pool.status()
    }

    async fn connect(&self, deadline: Instant) -> Result<Sender, SendError> {
        let by = deadline.min(Instant::now() + self.connect_timeout);
        let stream = self.dialer.dial(by).await.map_err(SendError::NotSent)?;
        let (sender, connection) = http1::handshake(stream)
            .await
            .map_err(|error| SendError::NotSent(error.to_string()))?;
        // Ends when the sender is dropped; what fails in it is reported to the request that is on it.
        self.pool.tasks.spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }

    async fn exchange(
        &self,
        mut sender: Sender,
        outbound: &Outbound,
        deadline: Instant,
    ) -> Result<(Response<Bytes>, Sender), Attempt> {
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
        let response = timeout_at(deadline, collect(response, self.response_limit_bytes))
            .await
            .unwrap_or(Err(SendError::TimedOut))
            .map_err(Attempt::answered)?;
        Ok((response, sender))
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
