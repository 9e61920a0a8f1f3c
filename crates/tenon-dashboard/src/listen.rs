//! The dashboard on its socket: plain HTTP/1.1, with limits on what a client may hold.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::HeaderValue;
use http::header::CONNECTION;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service;

use crate::{ClientAddress, Dashboard, Settings};

/// How long to wait after a connection could not be accepted, so that a lack of file descriptors is no busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why the dashboard can't serve.
#[derive(Debug, thiserror::Error)]
pub enum DashboardError {
    /// The socket can't be used.
    #[error("the dashboard can't listen on its socket: {0}")]
    Listen(#[from] std::io::Error),
}

impl Dashboard {
    /// Serves on a bound socket until told to stop, then lets calls that run finish.
    pub async fn serve(self, listener: std::net::TcpListener, stop: CancellationToken) -> Result<(), DashboardError> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let router = self.router();
        let settings = &self.state.settings;
        let tasks = TaskTracker::new();
        let connections = Arc::new(Semaphore::new(settings.connections_max));
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = accept(&listener, &connections) => accepted,
            };
            match accepted {
                Ok((stream, address, permit)) => {
                    let connection = serve_connection(stream, address, router.clone(), settings.clone(), stop.clone());
                    tasks.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        tasks.close();
        if tokio::time::timeout(settings.drain_timeout.0, tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                calls = tasks.len(),
                "the dashboard stops before its last calls have ended"
            );
        }
        Ok(())
    }
}

type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

async fn accept(listener: &TcpListener, connections: &Arc<Semaphore>) -> std::io::Result<Accepted> {
    let permit = Arc::clone(connections)
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    Ok((stream, address, permit))
}

/// A request may be under way on a connection that looks idle, so it is not closed the moment the dashboard is told to stop.
async fn idle_too_long(stop: &CancellationToken, timeout: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(timeout).await;
}

async fn serve_connection(
    stream: TcpStream,
    address: SocketAddr,
    router: Router,
    settings: Settings,
    stop: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection went before it was served");
        return;
    }
    let stopping = stop.clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ClientAddress(address.ip()));
        let (mut router, stopping) = (router.clone(), stopping.clone());
        async move {
            let mut response = router.call(request).await.unwrap_or_else(|never| match never {});
            if stopping.is_cancelled() {
                // The next request finds another process, on another connection.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.head_timeout.0)
        .max_buf_size(settings.head_bytes_max.max(8 << 10))
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = idle_too_long(&stop, settings.drain_idle_timeout.0) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %address, "a connection ended badly");
    }
}
