//! A call of a service as a value, and how it ends.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use serde_json::{Map, Value};
use tenon_model::CorrelationId;
use tenon_protocol::worker::Metric;
use tokio::time::Instant;

use crate::background::BackgroundKind;
use crate::body::{BodyError, BodyStream};
use crate::services::DeploymentPin;

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallSource {
    /// A channel of this name.
    Channel(String),
    /// A run of a job: the job's name and the run's id.
    Job(String, u64),
    /// Another service, of this name.
    Service(String),
    /// Another service, of this name, that does not wait.
    Background(BackgroundKind, String),
    /// The control API, on behalf of this user.
    Control(String),
}

impl CallSource {
    /// What a service sees as the type of its channel: `rest`, `scheduler`, `invoke`, `cli`, or how it was called in the
    /// background.
    pub fn channel_type(&self) -> &'static str {
        match self {
            CallSource::Channel(_) => "rest",
            CallSource::Job(..) => "scheduler",
            CallSource::Service(_) => "invoke",
            CallSource::Background(kind, _) => kind.channel_type(),
            CallSource::Control(_) => "cli",
        }
    }

    /// The name of the channel, job, service or user.
    pub fn name(&self) -> &str {
        match self {
            CallSource::Channel(name)
            | CallSource::Job(name, _)
            | CallSource::Service(name)
            | CallSource::Background(_, name)
            | CallSource::Control(name) => name,
        }
    }
}

/// What a service may want to know of the HTTP request that called it.
#[derive(Debug, Clone, Default)]
pub struct HttpFacts {
    /// The request's method.
    pub method: Method,
    /// Its address; the path is the one that came.
    pub uri: Uri,
    /// The query string's parameters in their order; duplicates stay.
    pub query: Vec<(String, String)>,
    /// The path pattern's parameters.
    pub params: Vec<(String, String)>,
    /// The headers.
    pub headers: HeaderMap,
    /// The client's address.
    pub remote: String,
    /// Where in the call's body that begins which came: behind the JSON that the channel's data format made of it.
    pub raw_at: Option<usize>,
}

/// Who a channel's security let in.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct CallerIdentity {
    /// The security definition's name.
    pub name: String,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// The user name, the subject of a token or of a certificate; empty if the kind has none.
    pub username: String,
    /// The claims of a token, the fields of a certificate; empty if the kind has none.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub claims: Map<String, Value>,
}

/// A call of a service.
#[derive(Debug, Clone)]
pub struct ServiceCall {
    /// Names this call and everything it causes.
    pub cid: CorrelationId,
    /// The service's name.
    pub service: String,
    /// Who calls.
    pub source: CallSource,
    /// Who the channel's security let in; none if it is open, or the call came by no channel.
    pub caller: Option<Arc<CallerIdentity>>,
    /// The HTTP request, if there is one.
    pub http: Option<Box<HttpFacts>>,
    /// `json`, `form`, `csv`, `xml` or empty for raw.
    pub data_format: &'static str,
    /// The parameters merged into the input, by the channel's priority rules (path, query and form parameters).
    pub merged_params: Map<String, Value>,
    /// Whether an element of the body wins over a parameter of the same name.
    pub message_wins: bool,
    /// The payload.
    pub body: Bytes,
    /// Whether the payload is known to be valid JSON.
    pub body_is_json: bool,
    /// The payload of a channel that streams, in place of `body`.
    pub body_stream: Option<BodyStream>,
    /// When the caller stops waiting.
    pub deadline: Instant,
    /// The deployments that the call began with, so that the services it invokes are of the same ones; none at its beginning.
    pub deployment: Option<DeploymentPin>,
    /// How many services invoked each other to get here.
    pub depth: u32,
    /// Whether the call may be repeated when a worker dies in it.
    pub idempotent: bool,
}

impl ServiceCall {
    /// A call that comes by no channel and begins nothing but itself; it has no payload yet.
    pub fn new(cid: CorrelationId, service: impl Into<String>, source: CallSource, deadline: Instant) -> Self {
        Self {
            cid,
            service: service.into(),
            source,
            caller: None,
            http: None,
            data_format: "json",
            merged_params: Map::new(),
            message_wins: false,
            body: Bytes::new(),
            body_is_json: false,
            body_stream: None,
            deadline,
            deployment: None,
            depth: 0,
            idempotent: false,
        }
    }

    /// The call with a payload: valid JSON, or anything else, which services get as it is.
    #[must_use]
    pub fn with_payload(mut self, body: Bytes, is_json: bool) -> Self {
        self.data_format = if is_json || body.is_empty() { "json" } else { "" };
        self.body_is_json = is_json && !body.is_empty();
        self.body = body;
        self
    }
}

/// What a service answered.
#[derive(Debug, Clone, Default)]
pub struct ServiceAnswer {
    /// HTTP status; 200 if the service gave none.
    pub status: u16,
    /// Media type; none if the service gave none and the body is JSON.
    pub content_type: Option<String>,
    /// Further headers that the service set.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// Whether the body is JSON.
    pub body_is_json: bool,
    /// What follows `body`, of a service that streams its answer.
    pub body_stream: Option<BodyStream>,
    /// The deployment that answered.
    pub deployment: u64,
}

/// How a call fails.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ServiceError {
    /// No service has this name in the deployment.
    #[error("no service is called '{0}'")]
    NotFound(String),
    /// The queue of the worker group is full, or the call waited too long in it.
    #[error("too many calls are waiting")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The deadline passed.
    #[error("the service did not answer in time")]
    Timeout,
    /// The worker ended while it ran the call.
    #[error("the worker ended while it ran the service: {cause}")]
    WorkerDied {
        /// How it ended: exit code, signal, protocol violation.
        cause: String,
    },
    /// The service raised an exception that it did not mean for the caller.
    #[error("{kind}: {message}")]
    Raised {
        /// The exception's type.
        kind: String,
        /// Its message.
        message: String,
        /// Where it was raised.
        traceback: String,
    },
    /// The service killed several workers and is not run any more until it is deployed anew.
    #[error("the service is quarantined: {0}")]
    Quarantined(String),
    /// No workers can be had: nothing is deployed yet, or the server stops.
    #[error("no worker can take the call: {0}")]
    Unavailable(String),
    /// The payload, or the answer, did not come whole.
    #[error("{0}")]
    Body(#[from] BodyError),
    /// Services invoked each other too deeply.
    #[error("services invoke each other more than {0} levels deep")]
    TooDeep(u32),
}

/// What a service asks of the platform while it runs.
#[derive(Debug, Clone)]
pub struct HostCall {
    /// The call that asks, as a number that no other call of this server has while it runs.
    pub call_id: u64,
    /// The call that asks.
    pub cid: CorrelationId,
    /// The service that asks.
    pub service: String,
    /// The deployments that the call began with.
    pub deployment: Option<DeploymentPin>,
    /// How many services invoked each other to get here.
    pub depth: u32,
    /// When its caller stops waiting.
    pub deadline: Instant,
    /// What it asks for: `{"op": "invoke", …}`.
    pub request: Map<String, Value>,
    /// Whether the body is JSON.
    pub body_is_json: bool,
    /// What goes with it.
    pub body: Bytes,
}

/// The platform's answer.
#[derive(Debug, Clone)]
pub struct HostReturn {
    /// 0 if it went well; else a status as HTTP has them.
    pub code: u16,
    /// The answer's description, such as `{"result": …}` or `{"error": "…", "type": "…"}`.
    pub tail: Value,
    /// Whether the body is JSON.
    pub body_is_json: bool,
    /// What goes with it.
    pub body: Bytes,
}

/// Serves what services ask of the platform; the invoke path implements it.
#[async_trait]
pub trait HostCalls: Send + Sync + fmt::Debug + 'static {
    /// Does what was asked. Must end by the call's deadline.
    async fn host_call(&self, call: HostCall) -> HostReturn;

    /// A call that asked for something has ended, be it that its service answered or that its worker died. What it held, such
    /// as locks, is free. Must not block.
    fn call_ended(&self, _call_id: u64) {}

    /// The user configuration as workers are to have it: `{"version": n, "files": {…}}`. None if there is none. What is given
    /// here reaches a worker before its first request; after a change, [`Services::configure`](crate::services::Services::configure)
    /// sends it to all.
    fn configuration(&self) -> Option<Bytes> {
        None
    }

    /// A service has measured something. Must not block.
    fn metric(&self, _metric: Metric) {}
}
