//! A real HTTP server for these tests, that can be stopped as a crash would stop it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls_pki_types::PrivateKeyDer;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

type Body = BoxBody<Bytes, Infallible>;

pub(super) struct Server {
    pub address: SocketAddr,
    seen: Arc<Seen>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    flaky_calls: AtomicUsize,
}

impl Server {
    pub(super) async fn start(address: SocketAddr, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, stop, tasks) = (Arc::new(Seen::default()), CancellationToken::new(), TaskTracker::new());
        let accept = accept(listener, tls, Arc::clone(&seen), tasks.clone(), stop.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(accept));
        Self {
            address,
            seen,
            stop,
            tasks,
        }
    }

    /// Drops the listener and every connection.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    pub(super) fn flaky_calls(&self) -> usize {
        self.seen.flaky_calls.load(Ordering::SeqCst)
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    seen: Arc<Seen>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        seen.connections.fetch_add(1, Ordering::SeqCst);
        let (tls, seen) = (tls.clone(), Arc::clone(&seen));
        tasks.spawn(stop.clone().run_until_cancelled_owned(async move {
            match tls {
                None => serve(stream, seen).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, seen).await;
                    }
                }
            }
        }));
    }
}

async fn serve<S>(stream: S, seen: Arc<Seen>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let service = service_fn(move |request| {
        let seen = Arc::clone(&seen);
        async move { Ok::<_, Infallible>(answer(request, &seen).await) }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(request: Request<Incoming>, seen: &Seen) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let with_status = |code: u16| {
        Response::builder()
            .status(code)
            .header("x-twice", "1")
            .header("x-twice", "2")
    };
    let redirect = |to: &str| {
        Response::builder()
            .status(302)
            .header("location", to)
            .body(full(""))
            .unwrap()
    };
    match path.as_str() {
        "/slow" => {
            tokio::time::sleep(Duration::from_secs(4)).await;
            Response::new(full("late"))
        }
        "/large" => Response::new(full(&"x".repeat(2000))),
        "/large-chunked" => {
            let chunks = (0..20).map(|_| Ok(Frame::data(Bytes::from("x".repeat(100)))));
            let body = http_body_util::StreamBody::new(futures_util::stream::iter(chunks));
            Response::new(BodyExt::boxed(body))
        }
        "/flaky" => {
            let is_good = seen.flaky_calls.fetch_add(1, Ordering::SeqCst) == 2;
            with_status(if is_good { 200 } else { 503 }).body(full("")).unwrap()
        }
        "/redirect-here" => redirect("/echo"),
        "/redirect-loop" => redirect("/redirect-loop"),
        "/redirect-away" => redirect("http://127.0.0.1:1/echo"),
        _ => match path.strip_prefix("/status/") {
            Some(code) => with_status(code.parse().unwrap()).body(full("")).unwrap(),
            None => echo(request).await,
        },
    }
}

async fn echo(request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let headers: Map<String, Value> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap())))
        .collect();
    let seen = json!({
        "method": head.method.as_str(), "target": head.uri.to_string(), "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    Response::new(full(&seen.to_string()))
}

fn full(text: &str) -> Body {
    Full::new(Bytes::from(text.to_owned())).boxed()
}

/// A new authority, written to the directory, and the TLS side of a server called `localhost` that it vouches for.
pub(super) fn certificate(directory: &Path) -> (String, TlsAcceptor) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let server = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let ca_file = directory.join("ca.pem");
    std::fs::write(&ca_file, ca_certificate.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![server.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    (ca_file.display().to_string(), TlsAcceptor::from(Arc::new(config)))
}
