//! What stands in the place of other services and outgoing connections.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::Error;

pub(super) type ServiceStub = Box<dyn Fn(Value) -> Result<Value, Error> + Send + Sync>;
pub(super) type RestStub = Box<dyn Fn(RestCall) -> RestAnswer + Send + Sync>;
pub(super) type SqlStub = Box<dyn Fn(SqlCall) -> Result<Value, String> + Send + Sync>;

/// What a service sent over an outgoing REST connection.
#[derive(Debug, Clone, PartialEq)]
pub struct RestCall {
    /// The method, in small letters.
    pub method: String,
    /// Parameters, all of them texts.
    pub params: Map<String, Value>,
    /// Headers.
    pub headers: Map<String, Value>,
    /// The body.
    pub body: Bytes,
}

impl RestCall {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// What the other side of a REST connection answers.
#[derive(Debug, Clone, PartialEq)]
pub struct RestAnswer {
    pub(super) outcome: Result<(u16, Map<String, Value>, Bytes), String>,
}

impl RestAnswer {
    /// JSON with a status. Panics if the value can't be written as JSON.
    pub fn json(status: u16, body: &(impl Serialize + ?Sized)) -> Self {
        let text = serde_json::to_vec(body).expect("the answer can be written as JSON");
        Self::new(status, "application/json", text)
    }

    /// A body of any media type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let mut headers = Map::new();
        headers.insert("content-type".to_owned(), content_type.into());
        Self {
            outcome: Ok((status, headers, body.into())),
        }
    }

    /// The same answer with a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Ok((_, headers, _)) = &mut self.outcome {
            headers.insert(name.to_ascii_lowercase(), value.into());
        }
        self
    }

    /// Nobody answers.
    pub fn down(reason: &str) -> Self {
        Self {
            outcome: Err(reason.to_owned()),
        }
    }
}

/// What a service asked of an outgoing SQL connection.
#[derive(Debug, Clone, PartialEq)]
pub struct SqlCall {
    /// `one`, `all` or `execute`.
    pub operation: String,
    /// The query, with `:name` where parameters go.
    pub query: String,
    /// The parameters.
    pub params: Map<String, Value>,
}
