//! The data plane's sockets: a Unix socket for the load balancer of the same host, a TCP address for others.

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::header::CONNECTION;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tenon_control::DataAcceptor;
use tenon_model::Network;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::head_timer::HeadTimer;
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
    /// For load balancers on other hosts, which come over the TCP address too.
    tls: DataAcceptor,
}

impl DataListener {
    /// Binds the Unix socket (replacing what a dead process left there) and takes over the TCP listener.
    pub(crate) fn bind(unix_path: &Path, tcp: TcpListener, tls: DataAcceptor) -> io::Result<Self> {
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
            tls,
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
            let accepted = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let (plane, settings, watcher) = (Arc::clone(&plane), settings.clone(), graceful.watcher());
            let (tls, stop) = (self.tls.clone(), stop.clone());
            tasks.spawn(async move {
                let begun = accepted.begin(&tls, &settings);
                let Some(Some((stream, origin))) = until_drained(begun, &stop, &settings).await else {
                    return;
                };
                if let Err(error) = watcher.watch(serve(plane, stream, origin, &settings)).await {
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

    async fn accept(&self, trusted: &Arc<[Network]>) -> io::Result<Accepted> {
        let unix = async {
            match &self.unix {
                Some(unix) => unix.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            accepted = unix => Ok(Accepted::Unix(accepted?.0)),
            accepted = self.tcp.accept() => {
                let (stream, address) = accepted?;
                stream.set_nodelay(true)?;
                Ok(Accepted::Tcp(stream, Origin::of(address.ip(), trusted)))
            }
        }
    }
}

/// A connection of which nothing is read yet.
enum Accepted {
    Unix(UnixStream),
    Tcp(TcpStream, Origin),
}

impl Accepted {
    /// Sees who it is: over TCP, a load balancer of another host begins with TLS, others with a request.
    async fn begin(self, tls: &DataAcceptor, settings: &DataSettings) -> Option<(Box<dyn Stream>, Origin)> {
        let (stream, origin) = match self {
            Accepted::Unix(stream) => return Some((Box::new(stream), Origin::Balancer)),
            Accepted::Tcp(stream, origin) => (stream, origin),
        };
        let begun = async {
            let mut first = [0];
            if stream.peek(&mut first).await? > 0 && DataAcceptor::is_for(first[0]) {
                let stream = tls.accept(stream).await?;
                return Ok((Box::new(stream) as Box<dyn Stream>, Origin::Balancer));
            }
            Ok::<_, io::Error>((Box::new(stream) as Box<dyn Stream>, origin))
        };
        match tokio::time::timeout(settings.head_timeout.0, begun).await {
            Ok(Ok(begun)) => Some(begun),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a connection was not taken");
                None
            }
            Err(_) => None,
        }
    }
}

/// What comes of it, unless the server stops meanwhile and leaves no more time to it than to a connection that is not used.
async fn until_drained<T>(
    begun: impl Future<Output = T>,
    stop: &CancellationToken,
    settings: &DataSettings,
) -> Option<T> {
    let drained = async {
        stop.cancelled().await;
        tokio::time::sleep(settings.drain_idle_timeout.0).await;
    };
    tokio::select! {
        begun = begun => Some(begun),
        () = drained => None,
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
        .timer(HeadTimer::new(settings.head_timeout.0))
        .header_read_timeout(settings.head_timeout.0)
        .max_headers(settings.headers_max)
        .max_buf_size(settings.head_bytes_max)
        .serve_connection(TokioIo::new(stream), service)
}
