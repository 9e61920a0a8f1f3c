//! The data plane's sockets: a Unix socket for the load balancer of the same host, a TCP address for others.

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::header::CONNECTION;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tenon_model::Network;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::origin::Origin;
use super::plane::DataPlane;
use crate::settings::DataSettings;

/// How many connections of load balancers may wait to be accepted.
const BACKLOG: i32 = 1024;

/// The bound sockets of the data plane.
#[derive(Debug)]
pub(crate) struct DataListener {
    /// Bound, so that load balancers know the way, and refusing connections until it is opened.
    closed: Option<OwnedFd>,
    unix: Option<UnixListener>,
    tcp: TcpListener,
}

impl DataListener {
    /// Binds the Unix socket (replacing what a dead process left there) and takes over the TCP listener.
    pub(crate) fn bind(unix_path: &Path, tcp: TcpListener) -> io::Result<Self> {
        match std::fs::remove_file(unix_path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::bind(&socket, &SocketAddrUnix::new(unix_path)?)?;
        Ok(Self {
            closed: Some(socket),
            unix: None,
            tcp,
        })
    }

    /// Takes connections on the Unix socket from now on.
    fn open(&mut self) {
        let Some(socket) = self.closed.take() else { return };
        let listening = rustix::net::listen(&socket, BACKLOG).map_err(io::Error::from);
        match listening.and_then(|()| UnixListener::from_std(socket.into())) {
            Ok(listener) => self.unix = Some(listener),
            Err(error) => tracing::error!(%error, "no load balancer of this host can connect"),
        }
    }

    /// Serves until told to stop, then closes idle connections and gives requests that run until the deadline.
    ///
    /// A server that is loading takes no connections on its Unix socket: a load balancer that finds nobody ready would send it
    /// requests, and those are better kept waiting there.
    pub(crate) async fn run(
        mut self,
        plane: Arc<DataPlane>,
        loaded: impl Future<Output = ()> + Send,
        settings: DataSettings,
        stop: CancellationToken,
    ) {
        let mut loaded = std::pin::pin!(loaded);
        let tasks = TaskTracker::new();
        let graceful = GracefulShutdown::new();
        let connections = Arc::new(Semaphore::new(settings.connections_max));
        let trusted: Arc<[Network]> = settings.trusted.clone().into();
        loop {
            let Ok(permit) = Arc::clone(&connections).acquire_owned().await else {
                break;
            };
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                () = &mut loaded, if self.closed.is_some() => {
                    self.open();
                    continue;
                }
                accepted = self.accept(&trusted) => accepted,
            };
            let (stream, origin) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let connection = serve(Arc::clone(&plane), stream, origin, &settings);
            let watched = graceful.watch(connection);
            tasks.spawn(async move {
                if let Err(error) = watched.await {
                    tracing::debug!(%error, "a connection ended early");
                }
                drop(permit);
            });
        }
        drop(self);
        tasks.close();
        // A request may be under way on a connection that looks idle. The other side closes it once it knows, or is given an
        // answer and the end of the connection with it.
        let _ = tokio::time::timeout(settings.drain_idle_timeout.0, tasks.wait()).await;
        tokio::select! {
            () = graceful.shutdown() => {}
            () = tokio::time::sleep(settings.drain_timeout.0) => {
                tracing::warn!("requests were still running when the time for draining ended");
            }
        }
    }

    async fn accept(&self, trusted: &Arc<[Network]>) -> io::Result<(Box<dyn Stream>, Origin)> {
        let unix = async {
            match &self.unix {
                Some(unix) => unix.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            accepted = unix => {
                let (stream, _) = accepted?;
                Ok((Box::new(stream) as Box<dyn Stream>, Origin::Balancer))
            }
            accepted = self.tcp.accept() => {
                let (stream, address) = accepted?;
                stream.set_nodelay(true)?;
                Ok((Box::new(stream) as Box<dyn Stream>, Origin::of(address.ip(), trusted)))
            }
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

fn serve(
    plane: Arc<DataPlane>,
    stream: Box<dyn Stream>,
    origin: Origin,
    settings: &DataSettings,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> + use<> {
    let origin = Arc::new(origin);
    let service = hyper::service::service_fn(move |request| {
        let plane = Arc::clone(&plane);
        let origin = Arc::clone(&origin);
        async move {
            let mut reply = plane.handle(request, &origin).await;
            if (plane.draining)() {
                reply
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(reply)
        }
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.head_timeout.0)
        .max_headers(settings.headers_max)
        .max_buf_size(settings.head_bytes_max)
        .serve_connection(TokioIo::new(stream), service)
}
