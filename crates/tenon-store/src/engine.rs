//! The handle that everybody holds, and what an engine is.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tenon_model::{Clock, InstanceId, OperationId, Random, Revision, Timestamp};
use tokio::sync::{broadcast, watch};

use crate::answers::{AnswerReply, AnswerRequest};
use crate::background::{BackgroundReply, BackgroundRequest};
use crate::cache::{CacheReply, CacheRequest};
use crate::deployments::{DeploymentReply, DeploymentRequest};
use crate::error::StoreError;
use crate::leases::{LeaseReply, LeaseRequest};
use crate::locks::{LockReply, LockRequest};
use crate::members::{MemberReply, MemberRequest};
use crate::objects::{ObjectReply, ObjectRequest};
use crate::quotas::{QuotaReply, QuotaRequest};
use crate::reports::{ReportReply, ReportRequest};
use crate::runs::{RunReply, RunRequest};
use crate::secrets::{SecretReply, SecretRequest};
use crate::settings::{ClientSettings, SqliteSettings};
use crate::socket::RemoteEngine;
use crate::sqlite::SqliteEngine;
use crate::users::{UserReply, UserRequest};

/// The store, from wherever one is: in the process that has the files open, or over its socket. Cheap to clone; usable from
/// any number of runtimes.
#[derive(Debug, Clone)]
pub struct Store {
    engine: Arc<dyn Engine>,
    random: Arc<dyn Random>,
}

impl Store {
    /// The store that this engine keeps.
    pub fn new(engine: Arc<dyn Engine>, random: Arc<dyn Random>) -> Self {
        Self { engine, random }
    }

    /// A store of its own in this directory, with default settings and no socket; for tests and tools. Blocks while it opens.
    pub fn sqlite_in(dir: &Path, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<Self, StoreError> {
        let engine = SqliteEngine::open(dir, SqliteSettings::default(), clock)?;
        Ok(Self::new(Arc::new(engine), random))
    }

    /// The store behind this Unix socket. Returns at once; the connection is made in the background, on the runtime that this
    /// is called on, and made again whenever it is lost. `name` and `instance` say who connects.
    pub fn connect(
        socket: &Path,
        settings: ClientSettings,
        name: &str,
        instance: InstanceId,
        random: Arc<dyn Random>,
    ) -> Self {
        let engine = RemoteEngine::connect(socket, settings, name, instance);
        Self::new(Arc::new(engine), random)
    }

    /// The engine behind the handle.
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    /// The clock that judges leases and claims.
    pub async fn now(&self) -> Result<Timestamp, StoreError> {
        match self.call(Request::Now).await? {
            Reply::Now(now) => Ok(now),
            other => Err(other.unexpected()),
        }
    }

    /// What changes from now on.
    pub fn events(&self) -> Events {
        Events(self.engine.events())
    }

    /// Whether the store can be reached, followed as it changes.
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.engine.connected()
    }

    /// Does an operation; a write gets an operation id, so that however often it must be repeated it is done once.
    pub async fn call(&self, request: impl Into<Request>) -> Result<Reply, StoreError> {
        let request = request.into();
        let operation = (request.class() == RequestClass::Write).then(|| OperationId::generate(self.random.as_ref()));
        self.engine.execute(Call { operation, request }).await
    }
}

/// Calls the store and takes the one reply that fits the request.
macro_rules! answer {
    ($store:expr, $request:expr, $pattern:pat => $value:expr) => {
        match $store.call($request).await? {
            $pattern => Ok($value),
            other => Err(other.unexpected()),
        }
    };
}
pub(crate) use answer;

/// What keeps the data: does operations, and says what changed.
#[async_trait]
pub trait Engine: Send + Sync + fmt::Debug + 'static {
    /// Does an operation. A write is on disk when this returns.
    async fn execute(&self, call: Call) -> Result<Reply, StoreError>;

    /// What changes from now on. A receiver that lags must assume that everything changed.
    fn events(&self) -> broadcast::Receiver<Event>;

    /// Whether the engine can be reached.
    fn connected(&self) -> watch::Receiver<bool>;

    /// What has to be done now and then: drops what is too old, and announces what became due by the passing of time. The
    /// process that has the files open calls it about twice a second; a client need not.
    async fn maintain(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Waits until the engine has failed for good and must be restarted; for ever if it never does.
    async fn failed(&self) -> StoreError {
        std::future::pending().await
    }
}

/// An operation with the id under which it is done once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The id of a write; none for what changes nothing, or nothing durable.
    pub operation: Option<OperationId>,
    /// What to do.
    pub request: Request,
}

/// How a request is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestClass {
    /// Answered from memory.
    Memory,
    /// Reads a consistent state.
    Read,
    /// Changes what is on disk.
    Write,
}

/// Everything that can be asked of the store, by what it is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// What time it is by the store's clock.
    Now,
    /// About objects.
    Objects(ObjectRequest),
    /// About deployments.
    Deployments(DeploymentRequest),
    /// About jobs and runs.
    Runs(RunRequest),
    /// About members.
    Members(MemberRequest),
    /// About leases.
    Leases(LeaseRequest),
    /// About users and sessions.
    Users(UserRequest),
    /// About secrets.
    Secrets(SecretRequest),
    /// About locks of services.
    Locks(LockRequest),
    /// About background calls.
    Background(BackgroundRequest),
    /// About the cache.
    Cache(CacheRequest),
    /// About quotas.
    Quotas(QuotaRequest),
    /// About reports.
    Reports(ReportRequest),
    /// About answers kept for idempotency keys.
    Answers(AnswerRequest),
}

impl Request {
    /// How the request is handled.
    pub fn class(&self) -> RequestClass {
        match self {
            Request::Now | Request::Cache(_) | Request::Quotas(_) | Request::Reports(_) => RequestClass::Memory,
            Request::Objects(request) => request.class(),
            Request::Answers(request) => request.class(),
            Request::Deployments(request) => request.class(),
            Request::Runs(request) => request.class(),
            Request::Members(request) => request.class(),
            Request::Leases(request) => request.class(),
            Request::Users(request) => request.class(),
            Request::Secrets(request) => request.class(),
            Request::Locks(request) => request.class(),
            Request::Background(request) => request.class(),
        }
    }
}

/// Every answer, by what it is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// The time by the store's clock.
    Now(Timestamp),
    /// About objects.
    Objects(ObjectReply),
    /// About deployments.
    Deployments(DeploymentReply),
    /// About jobs and runs.
    Runs(RunReply),
    /// About members.
    Members(MemberReply),
    /// About leases.
    Leases(LeaseReply),
    /// About users and sessions.
    Users(UserReply),
    /// About secrets.
    Secrets(SecretReply),
    /// About locks of services.
    Locks(LockReply),
    /// About background calls.
    Background(BackgroundReply),
    /// About the cache.
    Cache(CacheReply),
    /// About quotas.
    Quotas(QuotaReply),
    /// About reports.
    Reports(ReportReply),
    /// About answers kept for idempotency keys.
    Answers(AnswerReply),
}

impl Reply {
    /// The error of a reply that does not fit its request.
    pub(crate) fn unexpected(&self) -> StoreError {
        let debug = format!("{self:?}");
        let name: String = debug.chars().take(60).collect();
        StoreError::Protocol(format!("a reply that does not fit the request: {name}"))
    }
}

macro_rules! part_of_request_and_reply {
    ($($variant:ident: $request:ident, $reply:ident;)+) => {
        $(
            impl From<$request> for Request {
                fn from(request: $request) -> Self {
                    Request::$variant(request)
                }
            }

            impl From<$reply> for Reply {
                fn from(reply: $reply) -> Self {
                    Reply::$variant(reply)
                }
            }
        )+
    };
}

part_of_request_and_reply! {
    Objects: ObjectRequest, ObjectReply;
    Deployments: DeploymentRequest, DeploymentReply;
    Runs: RunRequest, RunReply;
    Members: MemberRequest, MemberReply;
    Leases: LeaseRequest, LeaseReply;
    Users: UserRequest, UserReply;
    Secrets: SecretRequest, SecretReply;
    Locks: LockRequest, LockReply;
    Background: BackgroundRequest, BackgroundReply;
    Cache: CacheRequest, CacheReply;
    Quotas: QuotaRequest, QuotaReply;
    Reports: ReportRequest, ReportReply;
    Answers: AnswerRequest, AnswerReply;
}

/// Something changed; told after it is on disk. Events are hints: several changes may make one, and none is kept for those
/// who were away, so consumers also look by themselves every few seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Event {
    /// Objects changed; this is their revision now.
    Objects(Revision),
    /// A deployment began, was committed or refused.
    Deployments,
    /// A run was added, ended or became due: something may be claimable.
    Runs,
    /// A job's cursor moved, or a job went.
    Jobs,
    /// A member joined, changed its state or died.
    Members,
    /// A secret was written or removed.
    Secrets,
    /// A background call was put, ended or became due: something may be claimable.
    Background,
    /// A lock became free.
    Locks,
    /// Events may have been missed: reload everything.
    Reconnected,
}

/// The changes of a store, one by one.
#[derive(Debug)]
pub struct Events(broadcast::Receiver<Event>);

impl Events {
    /// The next change; [`Event::Reconnected`] if this receiver was too slow to get them all; none when the store has gone.
    /// Cancelling it loses nothing.
    pub async fn recv(&mut self) -> Option<Event> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Event::Reconnected),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
