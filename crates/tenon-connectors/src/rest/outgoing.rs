//! An outgoing REST connection: operations, headers, credentials, retries and redirects.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, LOCATION, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tenon_model::{FieldProblem, Random};
use tokio::time::Instant;

use super::client::{Client, Limits, Outbound, SendError};
use super::config::{RestOutgoing, is_own_header};
use super::connect::Dialer;
use super::target::UrlTemplate;
use crate::connection::{Operations, earliest};
use crate::connector::{ConnectorError, Credentials, OutgoingCall, OutgoingContext, OutgoingError, OutgoingReply};

/// A live outgoing REST connection.
#[derive(Debug)]
pub(super) struct RestConnection {
    config: RestOutgoing,
    url: UrlTemplate,
    /// Sent with each request; a call's own headers come before them.
    headers: HeaderMap,
    /// Sent with each request; a call can't replace them.
    credentials: HeaderMap,
    client: Client,
    random: Arc<dyn Random>,
}

/// What a call may say beside its body.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Arguments {
    /// Path parameters; the rest becomes the query string.
    params: Option<Map<String, Value>>,
    headers: Option<Map<String, Value>>,
    /// Stands in for the connection's own timeout.
    timeout_ms: Option<u64>,
}

impl RestConnection {
    /// The connection of a config. Nothing is connected yet.
    pub(super) fn new(config: RestOutgoing, context: &OutgoingContext) -> Result<Self, ConnectorError> {
        let url: UrlTemplate = config
            .url
            .parse()
            .map_err(|message| ConnectorError::Body(vec![FieldProblem::new("url", message)]))?;
        let ca_file = config
            .ca_file
            .as_ref()
            .map_or_else(|| context.settings.ca_file.clone(), PathBuf::from);
        let limits = Limits {
            connections_max: config.pool_size,
            connect_timeout: config.connect_timeout.0,
            idle_timeout: config.idle_timeout.0,
            response_limit_bytes: config.response_limit_bytes,
        };
        Ok(Self {
            headers: standing_headers(&config, &url)?,
            credentials: credential_headers(config.security.as_deref(), context)?,
            client: Client::new(Dialer::new(&url.origin, &ca_file, config.tls_verify)?, limits),
            url,
            config,
            random: Arc::clone(&context.random),
        })
    }

    /// The request of a call, and by when it must have ended.
    fn outbound(&self, call: OutgoingCall) -> Result<(Outbound, Instant), OutgoingError> {
        let method = method_of(&call.operation)?;
        let arguments: Arguments = match call.arguments {
            Value::Null => Arguments::default(),
            arguments => serde_json::from_value(arguments)
                .map_err(|error| OutgoingError::Invalid(format!("arguments of '{}': {error}", call.operation)))?,
        };
        let target = self
            .url
            .fill(&arguments.params.unwrap_or_default())
            .map_err(OutgoingError::Invalid)?;
        let mut headers = self.headers.clone();
        if call.body.is_empty() {
            headers.remove(CONTENT_TYPE);
        }
        for (name, value) in arguments.headers.unwrap_or_default() {
            let (name, value) = read_header(&name, &value)?;
            headers.insert(name, value);
        }
        headers.extend(self.credentials.clone());
        let timeout = arguments
            .timeout_ms
            .map_or(self.config.timeout.0, Duration::from_millis);
        let outbound = Outbound {
            head: head(method, &target, headers)?,
            body: call.body,
        };
        Ok((outbound, earliest(timeout, call.deadline)))
    }

    /// Sends until there is an answer that is none of those to try again after, or the retries or the time are used up.
    async fn send(&self, mut outbound: Outbound, deadline: Instant) -> Result<Response<Bytes>, OutgoingError> {
        let mut retries = 0;
        let mut redirects = 0;
        loop {
            let answer = self.client.send(&outbound, deadline).await;
            if let Ok(response) = &answer
                && redirects < self.config.max_redirects
                && let Some(next) = self.redirected(&outbound, response)
            {
                redirects += 1;
                outbound = next;
                continue;
            }
            let wait = self.wait_before_retry(&outbound.head.method, &answer, retries);
            match wait.filter(|wait| Instant::now() + *wait < deadline) {
                Some(wait) => {
                    retries += 1;
                    tokio::time::sleep(wait).await;
                }
                None => return answer.map_err(explain),
            }
        }
    }

    /// How long to wait before the request is sent again; none if it is not.
    fn wait_before_retry(
        &self,
        method: &Method,
        answer: &Result<Response<Bytes>, SendError>,
        retries: u32,
    ) -> Option<Duration> {
        let may_repeat = match answer {
            Err(SendError::NotSent(_)) => true,
            Err(SendError::Broken(_)) => method.is_safe(),
            Err(SendError::Closed | SendError::TimedOut | SendError::BadAnswer(_)) => false,
            Ok(response) => method.is_safe() && matches!(response.status().as_u16(), 429 | 502 | 503 | 504),
        };
        if !may_repeat || retries >= self.config.max_retries {
            return None;
        }
        let longest = self.config.retry_wait_max.0;
        let full = self
            .config
            .retry_wait
            .0
            .saturating_mul(2_u32.saturating_pow(retries))
            .min(longest);
        let full_ms = u64::try_from(full.as_millis()).unwrap_or(u64::MAX);
        // Half of it is left to chance, so that callers that failed together don't come back together.
        let wait = Duration::from_millis(full_ms / 2 + self.random.below(full_ms / 2 + 1));
        Some(wait.max(asked_wait(answer.as_ref().ok()).min(longest)))
    }

    /// The request that a redirect asks for, if it leads to the same origin and the method may follow.
    fn redirected(&self, outbound: &Outbound, response: &Response<Bytes>) -> Option<Outbound> {
        let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
        let is_reading = matches!(outbound.head.method, Method::GET | Method::HEAD);
        if !is_redirect || !is_reading {
            return None;
        }
        let location = response.headers().get(LOCATION)?.to_str().ok()?;
        let target = if location.starts_with('/') && !location.starts_with("//") {
            location.split('#').next()?.to_owned()
        } else {
            let next: UrlTemplate = location.split('#').next()?.parse().ok()?;
            let is_same = next.origin == self.url.origin;
            is_same.then(|| next.fill(&Map::new()).ok())??
        };
        let mut head = outbound.head.clone();
        head.uri = target.parse().ok()?;
        Some(Outbound {
            head,
            body: outbound.body.clone(),
        })
    }
}

impl Operations for RestConnection {
    async fn run(&self, call: OutgoingCall) -> Result<OutgoingReply, OutgoingError> {
        let (outbound, deadline) = self.outbound(call)?;
        Ok(reply(self.send(outbound, deadline).await?))
    }

    async fn ping(&self, deadline: Option<Instant>) -> Result<String, OutgoingError> {
        let method = Method::from(self.config.ping_method);
        // A path that needs parameters can't be asked for; that the server answers is what counts.
        let target = self.url.fill(&Map::new()).unwrap_or_else(|_| "/".to_owned());
        let mut headers = self.headers.clone();
        headers.remove(CONTENT_TYPE);
        headers.extend(self.credentials.clone());
        let outbound = Outbound {
            head: head(method.clone(), &target, headers)?,
            body: Bytes::new(),
        };
        let deadline = earliest(self.config.timeout.0, deadline);
        let answer = self.client.send(&outbound, deadline).await;
        let status = answer.map_err(explain)?.status();
        let said = format!(
            "{method} {}{} was answered with {status}",
            self.url.origin.authority,
            outbound.head.uri.path()
        );
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(OutgoingError::Refused(said)),
            // A server that does not know HEAD is there all the same.
            StatusCode::NOT_IMPLEMENTED => Ok(said),
            status if status.is_server_error() => Err(OutgoingError::Failed(said)),
            _ => Ok(said),
        }
    }

    fn close(&self) {
        self.client.close();
    }

    fn status(&self) -> Map<String, Value> {
        let mut status = self.client.status();
        status.insert("address".to_owned(), self.url.origin.authority.as_str().into());
        status
    }
}

fn explain(error: SendError) -> OutgoingError {
    match error {
        SendError::NotSent(message) => OutgoingError::Unavailable(message),
        SendError::Closed => OutgoingError::Unavailable("the connection was closed".to_owned()),
        SendError::Broken(message) => OutgoingError::Timeout(format!(
            "the connection broke before the answer ({message}); the request may have been carried out"
        )),
        SendError::TimedOut => {
            OutgoingError::Timeout("no answer in time; the request may have been carried out".to_owned())
        }
        SendError::BadAnswer(message) => OutgoingError::Failed(message),
    }
}

fn method_of(operation: &str) -> Result<Method, OutgoingError> {
    Ok(match operation {
        "get" => Method::GET,
        "post" => Method::POST,
        "put" => Method::PUT,
        "patch" => Method::PATCH,
        "delete" => Method::DELETE,
        "options" => Method::OPTIONS,
        "head" => Method::HEAD,
        other => {
            return Err(OutgoingError::Invalid(format!(
                "'{other}' is no operation of a REST connection; there are get, post, put, patch, delete, options, head and ping"
            )));
        }
    })
}

fn head(method: Method, target: &str, headers: HeaderMap) -> Result<http::request::Parts, OutgoingError> {
    let request = Request::builder().method(method).uri(target).body(());
    let (mut head, ()) = request
        .map_err(|error| OutgoingError::Invalid(format!("the request can't be made: {error}")))?
        .into_parts();
    head.headers = headers;
    Ok(head)
}

/// The headers that a config gives, and those without which no request is sent.
fn standing_headers(config: &RestOutgoing, url: &UrlTemplate) -> Result<HeaderMap, ConnectorError> {
    let wrong = |field: String| ConnectorError::Body(vec![FieldProblem::new(field, "this can't be sent as a header")]);
    let mut headers = HeaderMap::new();
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("tenon/", env!("CARGO_PKG_VERSION"))),
    );
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    let content_type = HeaderValue::from_str(&config.content_type).map_err(|_| wrong("content_type".to_owned()))?;
    headers.insert(CONTENT_TYPE, content_type);
    for (name, value) in &config.headers {
        let field = || wrong(format!("headers.{name}"));
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| field())?;
        headers.insert(header, HeaderValue::from_str(value).map_err(|_| field())?);
    }
    let host = HeaderValue::from_str(&url.origin.authority).map_err(|_| wrong("url".to_owned()))?;
    headers.insert(HOST, host);
    Ok(headers)
}

fn credential_headers(security: Option<&str>, context: &OutgoingContext) -> Result<HeaderMap, ConnectorError> {
    let mut headers = HeaderMap::new();
    let Some(name) = security else { return Ok(headers) };
    let missing = || ConnectorError::Credentials {
        field: "security",
        name: name.to_owned(),
    };
    let (header, value) = match context.credentials.get(name).ok_or_else(missing)? {
        Credentials::Basic { username, password } => {
            let pair = STANDARD.encode(format!("{username}:{}", password.reveal()));
            (AUTHORIZATION, HeaderValue::from_str(&format!("Basic {pair}")))
        }
        Credentials::Header { name: header, value } => {
            let header = HeaderName::from_bytes(header.as_bytes()).map_err(|_| {
                ConnectorError::Body(vec![FieldProblem::new(
                    "security",
                    format!("'{header}' is not the name of a header"),
                )])
            })?;
            (header, HeaderValue::from_str(value.reveal()))
        }
    };
    let mut value = value.map_err(|_| {
        ConnectorError::Body(vec![FieldProblem::new(
            "security",
            format!("the secret of '{name}' can't be sent in a header"),
        )])
    })?;
    value.set_sensitive(true);
    headers.insert(header, value);
    Ok(headers)
}

fn read_header(name: &str, value: &Value) -> Result<(HeaderName, HeaderValue), OutgoingError> {
    let wrong = |reason: &str| OutgoingError::Invalid(format!("header '{name}': {reason}"));
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("this is not the name of a header"))?;
    if is_own_header(&header) {
        return Err(wrong("it is set by the connection itself"));
    }
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return Err(wrong("the value must be a text, a number, true or false")),
    };
    let value = HeaderValue::from_str(&text).map_err(|_| wrong("the value has characters that no header may have"))?;
    Ok((header, value))
}

/// How long the other side asks to wait (`Retry-After` in seconds).
fn asked_wait(response: Option<&Response<Bytes>>) -> Duration {
    response
        .and_then(|response| response.headers().get(RETRY_AFTER))
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map_or(Duration::ZERO, Duration::from_secs)
}

/// Status, reason and headers as JSON: names in lower case, repeated headers joined with `, `.
fn reply(response: Response<Bytes>) -> OutgoingReply {
    let (head, body) = response.into_parts();
    let reason = head.extensions.get::<hyper::ext::ReasonPhrase>().map_or_else(
        || head.status.canonical_reason().unwrap_or_default().to_owned(),
        |reason| String::from_utf8_lossy(reason.as_bytes()).into_owned(),
    );
    let mut headers = Map::new();
    for (name, value) in &head.headers {
        let text = String::from_utf8_lossy(value.as_bytes());
        match headers.get_mut(name.as_str()) {
            Some(Value::String(known)) => {
                known.push_str(", ");
                known.push_str(&text);
            }
            _ => {
                headers.insert(name.as_str().to_owned(), Value::String(text.into_owned()));
            }
        }
    }
    OutgoingReply {
        result: json!({"status": head.status.as_u16(), "reason": reason, "headers": headers}),
        body,
    }
}
