//! What services ask of the platform while they run: one file per operation.
//!
//! A host call names its operation (`op`) and comes from a call that runs; it ends by that call's deadline. What a call holds
//! (locks) is given back when it ends.

mod background;
mod cache;
mod crypto;
mod invoke;
mod lock;
mod outgoing;
mod peers;
mod schedule;

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use tenon_control::{ControlSettings, Identity};
use tenon_model::{Clock, InstanceId};
use tenon_protocol::worker::Metric;
use tenon_store::{Store, StoreError};
use tokio::sync::Semaphore;

pub(crate) use self::lock::Locks;
use self::peers::Peers;
use crate::background::{Background, BackgroundParts};
use crate::call::{HostCall, HostCalls, HostReturn, ServiceError};
use crate::invoke::Invoker;
use crate::metrics::Metrics;
use crate::object_writer::ObjectWriter;
use crate::secrets::Secrets;
use crate::settings::{BackgroundSettings, HostSettings};
use crate::snapshot::SnapshotCell;
use crate::user_config::UserConfig;

/// What the platform does for services. One per server.
pub(crate) struct Host {
    /// The path to services.
    pub(crate) invoker: Arc<Invoker>,
    /// What is configured.
    pub(crate) snapshot: Arc<SnapshotCell>,
    /// What is counted.
    pub(crate) metrics: Arc<Metrics>,
    /// The cache.
    pub(crate) store: Store,
    /// The cluster's key, and randomness.
    pub(crate) secrets: Secrets,
    /// Locks of calls of this server.
    pub(crate) locks: Arc<Locks>,
    /// Calls that nobody waits for.
    pub(crate) background: Arc<Background>,
    /// What services read as their configuration.
    pub(crate) user_config: Arc<UserConfig>,
    peers: Peers,
    hashes: Semaphore,
    writer: OnceLock<ObjectWriter>,
}

/// What a host is made of.
#[derive(Debug)]
pub(crate) struct HostParts {
    /// This server's name.
    pub(crate) server: String,
    /// This life of its process.
    pub(crate) instance: InstanceId,
    /// The path to services.
    pub(crate) invoker: Arc<Invoker>,
    /// What is configured.
    pub(crate) snapshot: Arc<SnapshotCell>,
    /// What is counted.
    pub(crate) metrics: Arc<Metrics>,
    /// The store.
    pub(crate) store: Store,
    /// The cluster's key, and randomness.
    pub(crate) secrets: Secrets,
    /// The certificate under which other servers are called.
    pub(crate) identity: Identity,
    /// Limits of calls to other servers.
    pub(crate) control: ControlSettings,
    /// The wall clock.
    pub(crate) clock: Arc<dyn Clock>,
    /// The folder of user configuration.
    pub(crate) user_config: PathBuf,
    /// Limits.
    pub(crate) settings: HostSettings,
    /// Limits of background calls.
    pub(crate) background: BackgroundSettings,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Host")
    }
}

impl Host {
    /// A host that serves all but what writes objects at once.
    pub(crate) fn new(parts: HostParts) -> Arc<Self> {
        let HostParts {
            server,
            instance,
            invoker,
            store,
            secrets,
            settings,
            ..
        } = parts;
        let background = BackgroundParts {
            store: store.clone(),
            invoker: Arc::clone(&invoker),
            server: server.clone(),
            instance: instance.clone(),
            clock: parts.clock,
            settings: parts.background,
        };
        Arc::new(Self {
            invoker,
            snapshot: parts.snapshot,
            metrics: parts.metrics,
            peers: Peers::new(server.clone(), store.clone(), parts.identity, parts.control),
            locks: Locks::new(store.clone(), server, instance, settings.lock_ttl_max.0),
            background: Background::new(background),
            hashes: Semaphore::new(settings.hashes_max.max(1)),
            user_config: UserConfig::new(parts.user_config, store.clone(), secrets.clone(), settings),
            writer: OnceLock::new(),
            store,
            secrets,
        })
    }

    /// Tells the host who writes objects. Services need the host to be made, and the writer knows services.
    pub(crate) fn attach(&self, writer: ObjectWriter) {
        // A second attachment would be a mistake in start-up code; the first one stays in force.
        let _ = self.writer.set(writer);
    }
}

#[async_trait]
impl HostCalls for Host {
    async fn host_call(&self, call: HostCall) -> HostReturn {
        let op = call.request.get("op").and_then(Value::as_str).unwrap_or_default();
        let result = match op {
            "invoke" => self.invoke(call).await,
            "invoke-all" => self.invoke_all(call).await,
            "invoke-async" => self.invoke_async(call).await,
            "fan-out" => self.fan_out(call).await,
            "retry-async" => self.retry_async(call).await,
            "outgoing" => self.outgoing(call).await,
            "cache" => self.cache(call).await,
            "lock" => self.lock(call).await,
            "schedule-onetime" => self.schedule_onetime(call).await,
            "crypto" => self.crypto(call).await,
            other => Err(HostFailure::bad_request(format!(
                "a server of this version has no operation '{other}'"
            ))),
        };
        result.unwrap_or_else(HostFailure::into_return)
    }

    fn call_ended(&self, call_id: u64) {
        self.locks.call_ended(call_id);
    }

    fn configuration(&self) -> Option<Bytes> {
        self.user_config.current()
    }

    fn metric(&self, metric: Metric) {
        self.metrics.service_metric(&metric);
    }
}

/// Why the platform did not do what a service asked for.
#[derive(Debug)]
struct HostFailure {
    code: u16,
    kind: Cow<'static, str>,
    message: String,
}

/// The platform's answer, or why there is none.
type HostResult = Result<HostReturn, HostFailure>;

impl HostFailure {
    fn new(code: u16, kind: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            code,
            kind: kind.into(),
            message: message.into(),
        }
    }

    fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    fn into_return(self) -> HostReturn {
        HostReturn {
            code: self.code,
            tail: json!({ "error": self.message, "type": self.kind }),
            body_is_json: false,
            body: Bytes::new(),
        }
    }
}

impl From<StoreError> for HostFailure {
    fn from(error: StoreError) -> Self {
        let (code, kind) = match &error {
            StoreError::Invalid(_) => (400, "BadRequest"),
            StoreError::NotFound(_) => (404, "NotFound"),
            StoreError::VersionConflict { .. } | StoreError::Fenced(_) => (409, "Conflict"),
            _ => (503, "ServiceUnavailable"),
        };
        Self::new(code, kind, error.to_string())
    }
}

impl From<ServiceError> for HostFailure {
    fn from(error: ServiceError) -> Self {
        let (code, kind) = status_of_failure(&error);
        Self::new(code, kind, error.to_string())
    }
}

/// How a failed call looks to the service that made it: a status as HTTP has them, and a word.
pub(crate) fn status_of_failure(error: &ServiceError) -> (u16, &'static str) {
    match error {
        ServiceError::NotFound(_) => (404, "NotFound"),
        ServiceError::Busy { .. } | ServiceError::Unavailable(_) | ServiceError::Quarantined(_) => {
            (503, "ServiceUnavailable")
        }
        ServiceError::Timeout => (504, "Timeout"),
        ServiceError::WorkerDied { .. } => (502, "WorkerDied"),
        _ => (500, "InternalServerError"),
    }
}

/// An answer that is all in its description.
fn described(tail: Value) -> HostReturn {
    HostReturn {
        code: 0,
        tail,
        body_is_json: false,
        body: Bytes::new(),
    }
}

/// A text that may be missing.
fn text<'a>(request: &'a Map<String, Value>, field: &str) -> Option<&'a str> {
    request
        .get(field)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

/// A text that must be there.
fn needed<'a>(request: &'a Map<String, Value>, field: &str) -> Result<&'a str, HostFailure> {
    text(request, field).ok_or_else(|| HostFailure::bad_request(format!("'{field}' is missing in the call")))
}

/// A number of milliseconds that may be missing.
fn millis(request: &Map<String, Value>, field: &str) -> Option<Duration> {
    request.get(field).and_then(Value::as_u64).map(Duration::from_millis)
}

/// Names of services, given as one text or a list.
fn names(request: &Map<String, Value>, field: &str) -> Result<Vec<String>, HostFailure> {
    let wrong = || HostFailure::bad_request(format!("'{field}' has to be a list of services' names"));
    match request.get(field) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(name)) => Ok(vec![name.clone()]),
        Some(Value::Array(values)) => {
            let names = values
                .iter()
                .map(|value| value.as_str().map(str::to_owned).ok_or_else(wrong));
            names.collect()
        }
        Some(_) => Err(wrong()),
    }
}
