//! What all outgoing connections have in common: one that is switched off refuses, calls are counted, `ping` is an operation.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::connector::{Outgoing, OutgoingCall, OutgoingError, OutgoingReply};

/// What a technology does for an outgoing connection. [`Connection`] makes an [`Outgoing`] of it, where each method is explained.
pub(crate) trait Operations: Send + Sync + fmt::Debug {
    /// Does one operation, which is not `ping`.
    fn run(&self, call: OutgoingCall) -> impl Future<Output = Result<OutgoingReply, OutgoingError>> + Send;

    /// Proves that calls can work.
    fn ping(&self, deadline: Option<Instant>) -> impl Future<Output = Result<String, OutgoingError>> + Send;

    /// Takes no more calls.
    fn close(&self);

    /// Where it leads to, how many connections there are.
    fn status(&self) -> Map<String, Value>;
}

/// A live outgoing connection.
#[derive(Debug)]
pub(crate) struct Connection<T> {
    is_enabled: bool,
    operations: T,
    calls: AtomicU64,
    failures: AtomicU64,
}

impl<T: Operations> Connection<T> {
    /// A connection that refuses everything unless it is enabled.
    pub(crate) fn new(is_enabled: bool, operations: T) -> Self {
        Self {
            is_enabled,
            operations,
            calls: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    fn counted<R>(&self, result: Result<R, OutgoingError>) -> Result<R, OutgoingError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if result.is_err() {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        result
    }
}

#[async_trait]
impl<T: Operations> Outgoing for Connection<T> {
    async fn call(&self, call: OutgoingCall) -> Result<OutgoingReply, OutgoingError> {
        if !self.is_enabled {
            return Err(OutgoingError::Unavailable(
                "the connection is switched off (enabled)".to_owned(),
            ));
        }
        if call.operation == "ping" {
            let said = self.ping(call.deadline).await?;
            return Ok(OutgoingReply {
                result: Value::String(said),
                ..OutgoingReply::default()
            });
        }
        self.counted(self.operations.run(call).await)
    }

    async fn ping(&self, deadline: Option<Instant>) -> Result<String, OutgoingError> {
        self.counted(self.operations.ping(deadline).await)
    }

    async fn close(&self) {
        self.operations.close();
    }

    fn status(&self) -> Value {
        let mut status = self.operations.status();
        status.insert("enabled".to_owned(), self.is_enabled.into());
        status.insert("calls".to_owned(), self.calls.load(Ordering::Relaxed).into());
        status.insert("failures".to_owned(), self.failures.load(Ordering::Relaxed).into());
        Value::Object(status)
    }
}

/// When this much time has passed, or at the caller's deadline if that is earlier.
pub(crate) fn earliest(timeout: Duration, deadline: Option<Instant>) -> Instant {
    let own = Instant::now() + timeout;
    deadline.map_or(own, |deadline| deadline.min(own))
}
