//! The calling side of the control protocol: typed calls and raw forwarding, with fail-over between addresses.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::ServerName;
use serde_json::{Map, Value};
use tenon_model::{Problem, Role};
use tenon_protocol::control::Endpoint;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::identity::{Identity, IdentityError, dns_name};
use crate::settings::ControlSettings;

/// Where the called components are, as `host:port`; may change at any time.
#[derive(Debug, Clone, Default)]
pub struct Addresses(Arc<ArcSwap<Vec<String>>>);

impl Addresses {
    /// These addresses, tried in this order.
    pub fn new(addresses: Vec<String>) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(addresses)))
    }

    /// Replaces the addresses.
    pub fn set(&self, addresses: Vec<String>) {
        self.0.store(Arc::new(addresses));
    }

    /// The addresses as they are now.
    pub fn get(&self) -> Arc<Vec<String>> {
        self.0.load_full()
    }
}

/// How a control call fails.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The other side answered with a problem.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// No address could be reached; nothing was done.
    #[error("no {role} answers at {}; is it running?", .addresses.join(", "))]
    Unreachable {
        /// The role that was called.
        role: Role,
        /// The addresses that were tried.
        addresses: Vec<String>,
        /// Why the last one failed.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The connection was lost after the call was sent: it may have been done.
    #[error("the connection to {address} was lost before the answer came; look whether the call was done")]
    Unknown {
        /// Where it was sent.
        address: String,
        /// Why the connection was lost.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer is not what the protocol says.
    #[error("the answer of {address} can't be read: {detail}; are both of the same version?")]
    Unreadable {
        /// Who answered.
        address: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The caller's certificate can't be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl ControlError {
    /// The problem that the other side answered with, if it did.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            ControlError::Problem(problem) => Some(problem),
            _ => None,
        }
    }
}

/// Calls the control addresses of components of one role. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct ControlClient {
    inner: Arc<Inner>,
    token: Option<Arc<str>>,
}

struct Inner {
    tls: TlsConnector,
    role: Role,
    addresses: Addresses,
    connections: Mutex<HashMap<String, SendRequest<Full<Bytes>>>>,
    settings: ControlSettings,
}

impl std::fmt::Debug for ControlClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControlClient")
            .field("addresses", &self.inner.addresses)
            .finish_non_exhaustive()
    }
}

enum Attempt {
    /// Nothing was sent.
    NotSent(Box<dyn std::error::Error + Send + Sync>),
    /// It was sent, and no whole answer came.
    Lost(Box<dyn std::error::Error + Send + Sync>),
}

impl ControlClient {
    /// A client that calls components of `role` at `addresses` with the certificate of `identity`.
    pub fn new(
        identity: &Identity,
        role: Role,
        addresses: Addresses,
        settings: ControlSettings,
    ) -> Result<Self, IdentityError> {
        let tls = TlsConnector::from(Arc::new(identity.client_config()?));
        let inner = Inner {
            tls,
            role,
            addresses,
            connections: Mutex::default(),
            settings,
        };
        Ok(Self {
            inner: Arc::new(inner),
            token: None,
        })
    }

    /// The same client on behalf of a user's session or token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            token: Some(Arc::from(token)),
        }
    }

    /// Calls an endpoint.
    pub async fn call<E: Endpoint>(&self, params: &E::Params, body: &E::Body) -> Result<E::Reply, ControlError> {
        self.call_within::<E>(params, body, self.inner.settings.call_timeout.0)
            .await
    }

    /// Calls an endpoint and waits for its answer that long at most.
    pub async fn call_within<E: Endpoint>(
        &self,
        params: &E::Params,
        body: &E::Body,
        timeout: Duration,
    ) -> Result<E::Reply, ControlError> {
        let uri = uri_of::<E>(params);
        let body = if matches!(E::METHOD.as_str(), "GET" | "DELETE") {
            Bytes::new()
        } else {
            Bytes::from(serde_json::to_vec(body).expect("bodies of the control protocol are plain data"))
        };
        let mut request = Request::builder().method(E::METHOD.as_str()).uri(uri);
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(body).expect("method, path and headers are well-formed");
        let (address, response) = self.send(request, timeout).await?;
        let (parts, body) = response.into_parts();
        if !parts.status.is_success() {
            return Err(ControlError::Problem(Box::new(problem_of(parts.status, &body))));
        }
        let body = if body.is_empty() {
            Bytes::from_static(b"{}")
        } else {
            body
        };
        serde_json::from_slice(&body).map_err(|error| ControlError::Unreadable {
            address,
            detail: error.to_string(),
        })
    }

    /// Sends a request as it is (its URI a path with query) and returns whatever is answered.
    pub async fn forward(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ControlError> {
        let timeout = self.inner.settings.call_timeout.0;
        Ok(self.send(request, timeout).await?.1)
    }

    /// Tries each address in turn: while nothing was done any request goes on to the next, after that only a GET.
    async fn send(
        &self,
        request: Request<Bytes>,
        timeout: Duration,
    ) -> Result<(String, Response<Bytes>), ControlError> {
        let addresses = self.inner.addresses.get();
        let repeatable = request.method() == http::Method::GET;
        let (mut last_error, mut starting) = (None, None);
        for address in addresses.iter() {
            match self.inner.attempt(address, request.clone(), timeout).await {
                Ok(response) if is_starting(&response) => starting = Some((address.clone(), response)),
                Ok(response) => return Ok((address.clone(), response)),
                Err(Attempt::NotSent(error)) => last_error = Some(error),
                Err(Attempt::Lost(error)) if repeatable => last_error = Some(error),
                Err(Attempt::Lost(source)) => {
                    return Err(ControlError::Unknown {
                        address: address.clone(),
                        source,
                    });
                }
            }
        }
        starting.ok_or_else(|| ControlError::Unreachable {
            role: self.inner.role,
            addresses: addresses.to_vec(),
            source: last_error,
        })
    }
}

impl Inner {
    async fn attempt(
        &self,
        address: &str,
        request: Request<Bytes>,
        timeout: Duration,
    ) -> Result<Response<Bytes>, Attempt> {
        let mut connection = self.connection(address).await.map_err(Attempt::NotSent)?;
        let authority = dns_name(self.role.as_str());
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        parts.uri = format!("https://{authority}{path}")
            .parse()
            .map_err(|error| Attempt::NotSent(Box::new(error)))?;
        let request = Request::from_parts(parts, Full::new(body));
        let exchange = async {
            let response = connection.send_request(request).await?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, self.settings.body_bytes_max)
                .collect()
                .await?
                .to_bytes();
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Response::from_parts(parts, body))
        };
        match tokio::time::timeout(timeout, exchange).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                self.forget(address);
                Err(Attempt::Lost(error))
            }
            Err(elapsed) => Err(Attempt::Lost(Box::new(elapsed))),
        }
    }

    async fn connection(
        &self,
        address: &str,
    ) -> Result<SendRequest<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
        let known = self.lock().get(address).cloned();
        if let Some(mut connection) = known
            && connection.ready().await.is_ok()
        {
            return Ok(connection);
        }
        let connection = tokio::time::timeout(self.settings.connect_timeout(), self.connect(address)).await??;
        self.lock().insert(address.to_owned(), connection.clone());
        Ok(connection)
    }

    async fn connect(
        &self,
        address: &str,
    ) -> Result<SendRequest<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(dns_name(self.role.as_str()))?;
        let stream = self.tls.connect(name, stream).await?;
        let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(5))
            .keep_alive_timeout(Duration::from_secs(5))
            .handshake(TokioIo::new(stream))
            .await?;
        // The task ends with the connection, which ends when the last sender is dropped or the other side goes.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a control connection was lost");
            }
        });
        Ok(sender)
    }

    fn forget(&self, address: &str) {
        self.lock().remove(address);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, SendRequest<Full<Bytes>>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a server says that it did nothing because it is starting.
fn is_starting(response: &Response<Bytes>) -> bool {
    response.status() == StatusCode::SERVICE_UNAVAILABLE
        && problem_of(response.status(), response.body()).is_called(Problem::STARTING)
}

fn problem_of(status: StatusCode, body: &Bytes) -> Problem {
    serde_json::from_slice(body).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(body);
        Problem::new(
            status.as_u16(),
            "unexpected-answer",
            format!("HTTP {status}: {}", text.trim()),
        )
    })
}

/// The path and query of a call: parameters named in the endpoint's path go there, the others into the query.
fn uri_of<E: Endpoint>(params: &E::Params) -> String {
    let params = match serde_json::to_value(params) {
        Ok(Value::Object(params)) => params,
        _ => Map::new(),
    };
    let mut path = E::PATH.to_owned();
    let mut query = Vec::new();
    for (name, value) in params {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text,
            other => other.to_string(),
        };
        let placeholder = format!("{{{name}}}");
        if path.contains(&placeholder) {
            path = path.replace(&placeholder, &encode_segment(&text));
        } else {
            query.push((name, text));
        }
    }
    if query.is_empty() {
        return path;
    }
    let query = serde_urlencoded::to_string(query).expect("pairs of texts always encode");
    format!("{path}?{query}")
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
fn encode_segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
