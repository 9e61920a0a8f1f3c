//! The listening side of a control address.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{Request, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tenon_model::{Problem, Role};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service;

use crate::identity::{Identity, IdentityError, role_of};
use crate::settings::ControlSettings;

const PATHS_WITHOUT_CERTIFICATE: [&str; 3] = ["/livez", "/readyz", "/metrics"];
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);
const HEAD_DEADLINE: Duration = Duration::from_secs(10);

/// Who is on the other side of a control connection; in the extensions of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The role that the certificate names; none without a certificate.
    pub role: Option<Role>,
}

/// A control address.
pub struct ControlListener {
    listener: TcpListener,
    tls: TlsAcceptor,
    router: Router,
    settings: ControlSettings,
}

impl fmt::Debug for ControlListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ControlListener").field(&self.listener).finish()
    }
}

impl ControlListener {
    /// A control address on a bound socket that serves these routes; the router holds [`health_routes`](crate::health_routes)
    /// and what the role adds. Requests without a certificate of the cluster reach nothing but the health paths.
    pub fn new(
        listener: TcpListener,
        identity: &Identity,
        router: Router,
        settings: ControlSettings,
    ) -> Result<Self, IdentityError> {
        let tls = TlsAcceptor::from(Arc::new(identity.server_config()?));
        Ok(Self {
            listener,
            tls,
            router,
            settings,
        })
    }

    /// Serves until told to stop, then lets requests that run finish for a few seconds.
    pub async fn run(self, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        let graceful = GracefulShutdown::new();
        let connections = Arc::new(Semaphore::new(self.settings.connections_max));
        loop {
            let Ok(permit) = Arc::clone(&connections).acquire_owned().await else {
                break;
            };
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let connection = Connection {
                        tls: self.tls.clone(),
                        router: self.router.clone(),
                        handshake_timeout: self.settings.connect_timeout(),
                        watcher: graceful.watcher(),
                    };
                    tasks.spawn(async move {
                        connection.serve(stream).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a control connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(self.listener);
        tasks.close();
        tokio::select! {
            () = graceful.shutdown() => {}
            () = tokio::time::sleep(DRAIN_DEADLINE) => {}
        }
    }
}

struct Connection {
    tls: TlsAcceptor,
    router: Router,
    handshake_timeout: Duration,
    watcher: hyper_util::server::graceful::Watcher,
}

impl Connection {
    async fn serve(self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let Ok(Ok(stream)) = tokio::time::timeout(self.handshake_timeout, self.tls.accept(stream)).await else {
            return;
        };
        let role = stream
            .get_ref()
            .1
            .peer_certificates()
            .and_then(|chain| chain.first())
            .and_then(role_of);
        let router = self.router;
        let service = hyper::service::service_fn(move |mut request: Request<hyper::body::Incoming>| {
            let mut router = router.clone();
            let refused = role.is_none() && !PATHS_WITHOUT_CERTIFICATE.contains(&request.uri().path());
            request.extensions_mut().insert(Peer { role });
            async move {
                if refused {
                    Ok(certificate_needed())
                } else {
                    router.call(request.map(Body::new)).await
                }
            }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_DEADLINE);
        builder.http2().timer(TokioTimer::new()).max_concurrent_streams(256);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        if let Err(error) = self.watcher.watch(connection).await {
            tracing::debug!(%error, "a control connection ended early");
        }
    }
}

fn certificate_needed() -> Response {
    let problem = Problem::new(
        401,
        "certificate-needed",
        "this address takes calls from components of the cluster only; call the dashboard's address with a session instead",
    );
    (
        StatusCode::UNAUTHORIZED,
        [(header::CONTENT_TYPE, Problem::CONTENT_TYPE)],
        problem.to_json(),
    )
        .into_response()
}

/// Serves health paths over plain HTTP, for probes that can't do TLS.
pub async fn serve_probes(listener: TcpListener, health_routes: Router, stop: CancellationToken) {
    let served = axum::serve(listener, health_routes)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::warn!(%error, "the address for probes stopped");
    }
}
