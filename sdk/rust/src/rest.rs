//! Outgoing REST connections.

use std::future::IntoFuture;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::context::{Context, Payload};
use crate::error::type_name;
use crate::{HostError, millis};

impl Context {
    /// An outgoing REST connection by its name. Its address and credentials stay in the server.
    ///
    /// ```
    /// # use tenon_sdk::{Context, Error};
    /// # use serde::Deserialize;
    /// # #[derive(Deserialize)] struct Customer { name: String }
    /// async fn name_of(ctx: Context, id: u64) -> Result<String, Error> {
    ///     // {id} in the connection's path is filled, other parameters become the query string
    ///     let response = ctx.rest("CRM").get().param("id", id).await?;
    ///     if response.status == 404 {
    ///         return Err(Error::not_found("there is no such customer"));
    ///     }
    ///     Ok(response.success()?.json::<Customer>()?.name)
    /// }
    /// ```
    pub fn rest(&self, name: impl Into<String>) -> Rest {
        Rest {
            context: self.clone(),
            name: name.into(),
        }
    }
}

/// The kind of these connections.
const KIND: &str = "rest-outgoing";

/// An outgoing REST connection. Made by [`Context::rest`].
#[derive(Debug, Clone)]
pub struct Rest {
    context: Context,
    name: String,
}

impl Rest {
    /// A `GET` request.
    pub fn get(&self) -> RestRequest {
        self.request("get")
    }

    /// A `HEAD` request.
    pub fn head(&self) -> RestRequest {
        self.request("head")
    }

    /// A `POST` request.
    pub fn post(&self) -> RestRequest {
        self.request("post")
    }

    /// A `PUT` request.
    pub fn put(&self) -> RestRequest {
        self.request("put")
    }

    /// A `PATCH` request.
    pub fn patch(&self) -> RestRequest {
        self.request("patch")
    }

    /// A `DELETE` request.
    pub fn delete(&self) -> RestRequest {
        self.request("delete")
    }

    /// An `OPTIONS` request.
    pub fn options(&self) -> RestRequest {
        self.request("options")
    }

    /// Asks whether the other side is there.
    pub async fn ping(&self) -> Result<(), HostError> {
        let request = OutgoingRequest::new(KIND, &self.name, "ping", Value::Object(Map::new()));
        self.context.ask(&request, Payload::none()).await.map(drop)
    }

    fn request(&self, operation: &'static str) -> RestRequest {
        RestRequest {
            rest: self.clone(),
            operation,
            params: Map::new(),
            headers: Map::new(),
            timeout: None,
            payload: Ok(Payload::none()),
        }
    }
}

/// What a call of an outgoing connection says.
#[derive(Serialize)]
pub(crate) struct OutgoingRequest<'a> {
    op: &'static str,
    kind: &'static str,
    name: &'a str,
    operation: &'static str,
    arguments: Value,
}

impl<'a> OutgoingRequest<'a> {
    pub(crate) fn new(kind: &'static str, name: &'a str, operation: &'static str, arguments: Value) -> Self {
        Self {
            op: "outgoing",
            kind,
            name,
            operation,
            arguments,
        }
    }
}

/// A request about to be sent; `.await` sends it. Any status of the other side is a response, not an error.
#[derive(Debug)]
#[must_use = "nothing is sent before `.await`"]
pub struct RestRequest {
    rest: Rest,
    operation: &'static str,
    params: Map<String, Value>,
    headers: Map<String, Value>,
    timeout: Option<Duration>,
    payload: Result<Payload, HostError>,
}

impl RestRequest {
    /// Fills `{name}` in the connection's path, or adds to the query string.
    #[expect(clippy::needless_pass_by_value, reason = "a number or a text is given as it is")]
    pub fn param(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.params.insert(name.into(), Value::String(value.to_string()));
        self
    }

    /// Sets a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), Value::String(value.into()));
        self
    }

    /// Sends JSON.
    pub fn json(mut self, body: &(impl Serialize + ?Sized)) -> Self {
        let written = serde_json::to_vec(body).map_err(|source| HostError::Encode {
            what: format!("the body for {}", self.rest.name),
            source,
        });
        self.payload = written.map(Payload::json);
        self.with_type("application/json")
    }

    /// Sends bytes of a media type.
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.payload = Ok(Payload {
            body: body.into(),
            is_json: false,
        });
        self.with_type(content_type)
    }

    fn with_type(mut self, content_type: &str) -> Self {
        if !self
            .headers
            .keys()
            .any(|name| name.eq_ignore_ascii_case("content-type"))
        {
            self.headers.insert("Content-Type".to_owned(), content_type.into());
        }
        self
    }

    /// How long to wait, if the connection's own timeout or the caller's deadline is not sooner.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    async fn send(self) -> Result<RestResponse, HostError> {
        let payload = self.payload?;
        let mut arguments = Map::new();
        arguments.insert("params".to_owned(), Value::Object(self.params));
        arguments.insert("headers".to_owned(), Value::Object(self.headers));
        if let Some(timeout) = self.timeout {
            arguments.insert("timeout_ms".to_owned(), millis(timeout).into());
        }
        let request = OutgoingRequest::new(KIND, &self.rest.name, self.operation, Value::Object(arguments));
        let answer = self.rest.context.ask(&request, payload).await?;
        let Outcome { result } = answer.described()?;
        let headers = result.headers.into_iter().map(|(name, value)| {
            let text = match value {
                Value::String(text) => text,
                Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
                other => other.to_string(),
            };
            (name.to_ascii_lowercase(), text)
        });
        Ok(RestResponse {
            name: self.rest.name,
            status: result.status,
            reason: result.reason,
            headers: headers.collect(),
            body: answer.body,
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Outcome {
    result: Head,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Head {
    status: u16,
    reason: String,
    headers: Map<String, Value>,
}

impl IntoFuture for RestRequest {
    type Output = Result<RestResponse, HostError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.send().boxed()
    }
}

/// What the other side of a REST connection answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestResponse {
    name: String,
    /// Its status.
    pub status: u16,
    /// Its status in words.
    pub reason: String,
    headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl RestResponse {
    /// Whether the status is below 400.
    pub fn is_success(&self) -> bool {
        self.status < 400
    }

    /// The response if its status is below 400, else an error: the caller of this service gets a 502 without details.
    pub fn success(self) -> Result<Self, HostError> {
        if self.is_success() {
            return Ok(self);
        }
        Err(HostError::Refused {
            status: 502,
            kind: "Status".to_owned(),
            message: format!("{} answered with {} {}", self.name, self.status, self.reason),
        })
    }

    /// A header, whatever the case it is asked for in.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as a type, from JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HostError> {
        serde_json::from_slice(&self.body).map_err(|source| HostError::Decode {
            what: format!("the answer of {}", self.name),
            expected: type_name::<T>(),
            source,
        })
    }

    /// The body as text; bytes that are no UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
