//! HTTPS to an authority, one connection for each request: an order needs about ten.

use std::future::Future;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// No answer of an authority is longer.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Why an authority was not heard.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// What trust in it rests on can't be read.
    #[error("the CAs by which the authority is trusted can't be read from {from}")]
    Roots {
        /// Where they were looked for.
        from: String,
    },
    /// It wants to be asked without TLS, or nowhere.
    #[error("the authority gave the address {0}, which is not https")]
    Address(Uri),
    /// Nobody answered there.
    #[error("the authority at {host} can't be reached: {why}")]
    Unreachable {
        /// Its host and port.
        host: String,
        /// What happened.
        why: String,
    },
    /// It said something that is not ACME.
    #[error("the authority at {host} answered {status}")]
    Answer {
        /// Its host and port.
        host: String,
        /// With which status.
        status: StatusCode,
    },
}

/// Speaks with one authority.
#[derive(Clone)]
pub(super) struct Client {
    connector: TlsConnector,
    timeout: Duration,
    /// For how long the authority asked not to be asked, if it did.
    asked: Arc<Mutex<Option<Duration>>>,
}

impl Client {
    /// Trusts the CAs in `ca`, which is PEM, or else those of a file.
    pub(super) fn new(ca: Option<&str>, ca_file: &Path, timeout: Duration) -> Result<Self, ClientError> {
        let read: Result<Vec<CertificateDer<'static>>, pem::Error> = match ca {
            Some(pem) => CertificateDer::pem_slice_iter(pem.as_bytes()).collect(),
            None => CertificateDer::pem_file_iter(ca_file).and_then(Iterator::collect),
        };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(read.unwrap_or_default());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let (false, Ok(builder)) = (roots.is_empty(), builder) else {
            let from = ca.map_or_else(|| ca_file.display().to_string(), |_| "'ca'".to_owned());
            return Err(ClientError::Roots { from });
        };
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            timeout,
            asked: Arc::default(),
        })
    }

    /// For how long the authority asked not to be asked, if it did.
    pub(super) fn asked(&self) -> Option<Duration> {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, ClientError> {
        let (uri, is_signed) = (request.uri().clone(), request.method() == Method::POST);
        let (Some("https"), Some(host)) = (uri.scheme_str(), uri.host()) else {
            return Err(ClientError::Address(uri));
        };
        let place = format!("{host}:{}", uri.port_u16().unwrap_or(443));
        let unreachable = |why: String| ClientError::Unreachable {
            host: place.clone(),
            why,
        };
        let answer = tokio::time::timeout(self.timeout, self.exchange(request, host, &place))
            .await
            .map_err(|_| unreachable("no answer in time".to_owned()))?
            .map_err(|error| unreachable(error.to_string()))?;
        let status = answer.status();
        if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
            *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = pause_of(&answer);
        }
        let media_type = answer.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        // Only answers to signed requests are looked into for what is wrong.
        let explains = is_signed && media_type.is_some_and(|value| value.starts_with(b"application/problem+json"));
        if !status.is_success() && !explains {
            return Err(ClientError::Answer { host: place, status });
        }
        let (parts, body) = answer.into_parts();
        Ok(BytesResponse {
            parts,
            body: Box::new(body),
        })
    }

    async fn exchange(
        &self,
        mut request: Request<BodyWrapper<Bytes>>,
        host: &str,
        place: &str,
    ) -> Result<Response<Bytes>, Box<dyn std::error::Error + Send + Sync>> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let authority = request.uri().authority().map_or(host, |authority| authority.as_str());
        let (path, authority) = (path.parse()?, HeaderValue::from_str(authority)?);
        *request.uri_mut() = path;
        request.headers_mut().insert(HOST, authority);
        request
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?;
        let stream = TcpStream::connect(place).await?;
        let stream = self.connector.connect(name, stream).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let exchange = async move {
            let (parts, body) = sender.send_request(request).await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
            Ok(Response::from_parts(parts, body))
        };
        let (mut exchange, connection) = (pin!(exchange), pin!(connection));
        tokio::select! {
            answer = &mut exchange => answer,
            _ = connection => exchange.await,
        }
    }
}

/// `Retry-After` in seconds.
fn pause_of(answer: &Response<Bytes>) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let answer = self.clone().send(request);
        Box::pin(async move {
            answer
                .await
                .map_err(|error| instant_acme::Error::Other(Box::new(error)))
        })
    }
}
