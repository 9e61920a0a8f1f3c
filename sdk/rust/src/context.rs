//! What a handler is given of its call, and its way to the platform.

use std::any::{TypeId, type_name};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::time::Instant;

use crate::call::Call;
use crate::config::Configuration;
use crate::error::Error;
use crate::facts::{Caller, Channel, Http};
use crate::panics;

tokio::task_local! {
    /// The call whose handler runs in this task.
    pub(crate) static CURRENT: Context;
}

/// A call, as its handler sees it: what it came with, and what can be asked of the platform. Clones are the same call.
///
/// What the platform is asked for through a context belongs to its call: it carries the call's correlation id, ends by its
/// deadline, and comes to nothing once the call has ended.
#[derive(Clone)]
pub struct Context(Arc<Call>);

impl Context {
    pub(crate) fn new(call: Arc<Call>) -> Self {
        Self(call)
    }

    pub(crate) fn call(&self) -> &Arc<Call> {
        &self.0
    }

    /// The correlation id: the same in every service and log line that this call causes.
    pub fn cid(&self) -> &str {
        &self.0.cid
    }

    /// The name of the service that is called.
    pub fn service(&self) -> &str {
        &self.0.entry.name
    }

    /// When the caller stops waiting; none if it waits forever.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline
    }

    /// How long the caller still waits; none if it waits forever.
    pub fn time_left(&self) -> Option<Duration> {
        let deadline = self.0.deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// Whether nobody waits for the answer any more. An async handler need not ask: it is dropped at its next `.await`.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// What the call came through.
    pub fn channel(&self) -> Channel<'_> {
        self.0.facts().channel()
    }

    /// The HTTP request behind the call; none if it came from a job, another service or the command line.
    pub fn http(&self) -> Option<&Http> {
        self.0.http()
    }

    /// Who the channel's security let in; none if the channel is open.
    pub fn caller(&self) -> Option<&Caller> {
        self.0.facts().caller()
    }

    /// The body as it came.
    pub fn body(&self) -> &Bytes {
        self.0.came()
    }

    /// The user configuration as of now.
    pub fn config(&self) -> Arc<Configuration> {
        self.0.link.configuration()
    }

    /// What [`Worker::share`](crate::Worker::share) was given of this type. An error, which is the log's, if it was given none.
    ///
    /// ```
    /// # use tenon_sdk::{Context, Error, Worker};
    /// struct Rates(Vec<f64>);
    ///
    /// async fn best_rate(ctx: Context) -> Result<f64, Error> {
    ///     let rates = ctx.shared::<Rates>()?;
    ///     Ok(rates.0.iter().copied().fold(0.0, f64::max))
    /// }
    /// let worker = Worker::new().share(Rates(vec![0.5, 0.75])).service("rates.best", best_rate);
    /// ```
    pub fn shared<T: Send + Sync + 'static>(&self) -> Result<Arc<T>, Error> {
        let value = self.0.shared.get(&TypeId::of::<T>()).cloned();
        value
            .and_then(|value| value.downcast().ok())
            .ok_or_else(|| Error::failure(format!("the worker shares no {}; see Worker::share", type_name::<T>())))
    }

    /// Runs code that blocks on a thread of its own, as part of this call: what it logs has the call's correlation id. A panic
    /// in it is an error.
    pub async fn spawn_blocking<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let context = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let work = std::panic::AssertUnwindSafe(work);
            CURRENT.sync_scope(context, || {
                std::panic::catch_unwind(|| {
                    let work = work;
                    (work.0)()
                })
                .map_err(|panic| panics::error_of(&*panic))
            })
        });
        match task.await {
            Ok(result) => result,
            Err(_) => Err(Error::failure("the worker ends")),
        }
    }

    /// Waits for a future in a [`Service::blocking`](crate::Service::blocking) handler, or within
    /// [`spawn_blocking`](Context::spawn_blocking). In an async handler it panics; `.await` is what is meant there.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        tokio::runtime::Handle::current().block_on(self.scope(future))
    }

    /// Runs a future as part of this call: what it logs has the call's correlation id. For tasks that a handler spawns.
    pub async fn scope<T>(&self, future: impl Future<Output = T>) -> T {
        CURRENT.scope(self.clone(), future).await
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("cid", &self.0.cid)
            .field("service", &self.0.entry.name)
            .finish_non_exhaustive()
    }
}

/// A payload for another service, written when it is given.
#[derive(Debug)]
pub(crate) struct Payload {
    pub(crate) body: Bytes,
    pub(crate) is_json: bool,
}

impl Payload {
    pub(crate) fn of<T: Serialize + ?Sized>(value: &T, what: &str) -> Result<Self, crate::HostError> {
        let text = serde_json::to_vec(value).map_err(|source| crate::HostError::Encode {
            what: what.to_owned(),
            source,
        })?;
        Ok(if text == b"null" {
            Self::none()
        } else {
            Self::json(text)
        })
    }

    pub(crate) fn none() -> Self {
        Self {
            body: Bytes::new(),
            is_json: false,
        }
    }

    pub(crate) fn json(text: impl Into<Bytes>) -> Self {
        Self {
            body: text.into(),
            is_json: true,
        }
    }
}
