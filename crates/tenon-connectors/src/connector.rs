//! What a connector is: the traits that every technology implements, and the values that they exchange with the server.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use tenon_model::{FieldProblem, Kind, KindConfig, ObjectName, Random, Secret};
use tokio::time::Instant;

use crate::http_route::HttpRoute;
use crate::settings::Settings;

/// The code of one technology, both directions.
pub trait Connector: Send + Sync + fmt::Debug {
    /// The kinds of objects that it takes.
    fn kinds(&self) -> Vec<Kind>;

    /// Makes a live outgoing connection of an object; `None` if the kind is none of its outgoing ones.
    ///
    /// The body is resolved: secrets are plain and variables replaced. Nothing is connected yet, so a system that is down
    /// is no error here. Must be called within a tokio runtime.
    fn outgoing(
        &self,
        kind: &str,
        name: &ObjectName,
        body: &Value,
        context: &OutgoingContext,
    ) -> Option<Result<Arc<dyn Outgoing>, ConnectorError>> {
        let _ = (kind, name, body, context);
        None
    }

    /// Turns a channel object into what the server must listen to; `None` if the kind is none of its channels.
    fn channel(&self, kind: &str, name: &ObjectName, body: &Value) -> Option<Result<ChannelBinding, ConnectorError>> {
        let _ = (kind, name, body);
        None
    }
}

/// What a connector is given to make an outgoing connection, beside the object's body.
#[derive(Debug, Clone)]
pub struct OutgoingContext {
    /// The credentials of the security objects that the body refers to, by the object's name.
    pub credentials: BTreeMap<String, Credentials>,
    /// What holds for all connectors of the process.
    pub settings: Arc<Settings>,
    /// Jitter of retries.
    pub random: Arc<dyn Random>,
}

impl OutgoingContext {
    /// A context without credentials.
    pub fn new(settings: Arc<Settings>, random: Arc<dyn Random>) -> Self {
        Self {
            credentials: BTreeMap::new(),
            settings,
            random,
        }
    }

    /// The same context with the credentials of one more security object.
    #[must_use]
    pub fn with_credentials(mut self, name: impl Into<String>, credentials: Credentials) -> Self {
        self.credentials.insert(name.into(), credentials);
        self
    }
}

/// How an outgoing connection proves who it is; made by the server of a security object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A user name and a password.
    Basic {
        /// The user's name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A secret that is sent in a header.
    Header {
        /// The header's name.
        name: String,
        /// Its whole value.
        value: Secret,
    },
}

/// A live connection that services call. It connects by itself when it is used, and again after the other side was down.
#[async_trait]
pub trait Outgoing: Send + Sync + fmt::Debug {
    /// Does one operation. Ends by the call's deadline, and by the connection's own timeout.
    ///
    /// It may be dropped at any await point; the connection stays usable. Messages don't repeat the connection's name.
    async fn call(&self, call: OutgoingCall) -> Result<OutgoingReply, OutgoingError>;

    /// Reaches the other side in the cheapest way that proves that calls can work, and says in a few words what it saw.
    async fn ping(&self, deadline: Option<Instant>) -> Result<String, OutgoingError>;

    /// Takes no more calls, lets go of all connections. Calls that run may finish; it does not wait for them.
    async fn close(&self);

    /// What is known of it without asking the other side, for people to read: a JSON object such as
    /// `{"connections_max": 20, "connections_open": 3, "connections_in_use": 1}`.
    fn status(&self) -> Value;
}

/// A call of an outgoing connection.
#[derive(Debug, Clone, Default)]
pub struct OutgoingCall {
    /// What to do, in the technology's own words: `get`, `execute`, …; each knows `ping`, too.
    pub operation: String,
    /// The operation's arguments, a JSON object or null.
    pub arguments: Value,
    /// Raw data that goes with it.
    pub body: Bytes,
    /// The correlation id of the call that causes this one.
    pub cid: String,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
}

/// What came of a call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OutgoingReply {
    /// The result as JSON, if it is small by nature; null if the body is the result.
    pub result: Value,
    /// The result, or data that goes with it.
    pub body: Bytes,
}

/// How a call of an outgoing connection fails. No message ever holds credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutgoingError {
    /// The other side can't be reached, or all connections to it are taken. What was asked for was not done.
    #[error("{0}")]
    Unavailable(String),
    /// The other side did not answer in time, or the connection broke while it worked. What was asked for may have been
    /// done.
    #[error("{0}")]
    Timeout(String),
    /// The other side does not accept the credentials.
    #[error("{0}")]
    Refused(String),
    /// The call itself is wrong: an unknown operation, an argument of the wrong type.
    #[error("{0}")]
    Invalid(String),
    /// The other side said no, or answered what can't be used. The message is the other side's.
    #[error("{0}")]
    Failed(String),
}

impl OutgoingError {
    /// A stable word for this sort of error: `unavailable`, `timeout`, `refused`, `invalid` or `failed`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::Timeout(_) => "timeout",
            Self::Refused(_) => "refused",
            Self::Invalid(_) => "invalid",
            Self::Failed(_) => "failed",
        }
    }
}

/// Why an object can't be turned into a channel or a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectorError {
    /// The body is wrong. Objects are checked before they are stored, so this means that a resolved secret or variable is.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Body(Vec<FieldProblem>),
    /// A security object that the body refers to does not exist.
    #[error("{field}: no security definition is called '{name}'")]
    Credentials {
        /// The field that refers to it.
        field: &'static str,
        /// The name it has there.
        name: String,
    },
    /// Something on this host that the connection needs is missing or broken.
    #[error("{0}")]
    Environment(String),
}

/// What the server must listen to on behalf of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelBinding {
    /// A route of the server's HTTP listener.
    Http(Box<HttpRoute>),
    /// Nothing: the channel is switched off.
    Off,
}

/// Reads a resolved body as the config struct of its kind, with that struct's own rules.
pub(crate) fn read_body<T: KindConfig>(body: &Value) -> Result<T, ConnectorError> {
    let config: T = serde_path_to_error::deserialize(body).map_err(|error| {
        let field = Some(error.path().to_string()).filter(|path| path != ".");
        let message = error.into_inner().to_string();
        ConnectorError::Body(vec![FieldProblem::new(field.unwrap_or_default(), message)])
    })?;
    let problems = config.check();
    if problems.is_empty() {
        Ok(config)
    } else {
        Err(ConnectorError::Body(problems))
    }
}
