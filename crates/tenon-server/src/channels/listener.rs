//! The data plane's sockets: a Unix socket for the load balancer of the same host, a TCP address for others.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderMap};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tenon_model::{CorrelationId, Network, Problem, Random};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::reply::{self, Reply};
use super::request;
use super::router::{Found, Route};
use crate::call::{CallSource, ServiceCall};
use crate::invoke::Invoker;
use crate::security::Visitor;
use crate::settings::DataSettings;
use crate::snapshot::SnapshotCell;

/// Whether the server takes work, as `/tenon/ready` says it.
type ReadyCheck = Arc<dyn Fn() -> bool + Send + Sync>;

/// What a request goes through.
pub(crate) struct DataPlane {
    /// The objects in force.
    pub(crate) snapshot: Arc<SnapshotCell>,
    /// The path to services.
    pub(crate) invoker: Arc<Invoker>,
    /// Whether the server takes work.
    pub(crate) ready: ReadyCheck,
    /// Whether the objects are loaded: before, a path without a channel says nothing.
    pub(crate) loaded: ReadyCheck,
    /// Whether the server is about to end: connections are not kept after their next answer.
    pub(crate) draining: ReadyCheck,
    /// Correlation ids.
    pub(crate) random: Arc<dyn Random>,
}

impl std::fmt::Debug for DataPlane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataPlane")
    }
}

/// Where a connection comes from.
#[derive(Debug, Clone)]
enum Origin {
    /// The load balancer of this host: what it says of the client is believed.
    Balancer,
    /// A proxy at this address that is believed as well.
    Proxy(String),
    /// Somebody at this address.
    Direct(String),
}

impl Origin {
    /// Who is at an address, given the networks that are believed.
    fn of(address: IpAddr, trusted: &[Network]) -> Self {
        let address = address.to_canonical();
        if trusted.iter().any(|network| network.contains(address)) {
            Self::Proxy(address.to_string())
        } else {
            Self::Direct(address.to_string())
        }
    }

    /// Whether what it says of the client is believed.
    fn is_trusted(&self) -> bool {
        !matches!(self, Self::Direct(_))
    }

    /// The client's address.
    fn client(&self, headers: &HeaderMap) -> String {
        match self {
            Self::Balancer => forwarded_for(headers).unwrap_or_default(),
            Self::Proxy(address) => forwarded_for(headers).unwrap_or_else(|| address.clone()),
            Self::Direct(address) => address.clone(),
        }
    }
}

impl DataPlane {
    async fn handle(&self, request: Request<Incoming>, origin: &Origin) -> Reply {
        let path = request.uri().path();
        if let Some(inner) = path.strip_prefix("/tenon/")
            && let Some(reply) = self.own_path(inner, request.method())
        {
            return reply;
        }
        let snapshot = self.snapshot.load();
        let (route, values) = match snapshot.router.find(path, request.method(), request.headers()) {
            Found::Route(route, values) => (route, values),
            Found::Nothing if !(self.loaded)() => return self.refused(reply::starting()),
            Found::WrongMethod(allowed) => return self.refused(reply::wrong_method(&allowed)),
            Found::NotAcceptable => return self.refused(reply::not_acceptable()),
            Found::Nothing => return self.refused(reply::not_found()),
        };
        drop(snapshot);
        let cid = CorrelationId::generate(&*self.random);
        let reply = match self.call_of(&route, values, request, origin, &cid).await {
            Err(refused) => *refused,
            Ok((call, headers)) => {
                let reply = match self.invoker.invoke(call).await {
                    Ok(answer) => reply::answer(&route, answer),
                    Err(error) => reply::failure(&error),
                };
                reply::with_headers(reply, headers)
            }
        };
        reply::with_cid(reply, &cid)
    }

    /// Paths that every server answers: liveness, readiness, ping.
    fn own_path(&self, path: &str, method: &Method) -> Option<Reply> {
        let ready = match path {
            "live" | "ping" => true,
            "ready" => (self.ready)(),
            _ => return None,
        };
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Some(reply::wrong_method(&[Method::GET, Method::HEAD]));
        }
        let cid = CorrelationId::generate(&*self.random);
        let body = format!("{{\"is_ok\":{ready},\"cid\":\"{cid}\"}}\n");
        let mut response = Response::new(Full::new(Bytes::from(body)));
        if !ready {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        response
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Some(reply::with_cid(response, &cid))
    }

    fn refused(&self, reply: Reply) -> Reply {
        reply::with_cid(reply, &CorrelationId::generate(&*self.random))
    }

    async fn call_of(
        &self,
        route: &Arc<Route>,
        values: Vec<String>,
        request: Request<Incoming>,
        origin: &Origin,
        cid: &CorrelationId,
    ) -> Result<(ServiceCall, Vec<(HeaderName, HeaderValue)>), Box<Reply>> {
        let (parts, body) = request.into_parts();
        let remote = origin.client(&parts.headers);
        let visitor = Visitor {
            headers: &parts.headers,
            query: parts.uri.query(),
            remote: &remote,
            is_trusted: origin.is_trusted(),
        };
        let admission = route.gate.admit(&visitor).await;
        let admission = admission.map_err(|refusal| Box::new(reply::refused(*refusal, cid)))?;
        let problem = |problem: Problem| Box::new(reply::problem_reply(&problem.with_cid(cid.as_str())));
        let bytes = request::read_body(route, &parts, body).await.map_err(problem)?;
        let body = request::check_body(route, bytes).map_err(problem)?;
        let facts = request::facts(route, &parts, values, remote);
        let call = ServiceCall {
            cid: cid.clone(),
            service: route.http.service.clone(),
            source: CallSource::Channel(route.channel().to_owned()),
            data_format: route.http.data_format.as_str(),
            merged_params: request::merged_params(route, &facts),
            message_wins: request::message_wins(route),
            idempotent: matches!(
                parts.method,
                Method::GET | Method::HEAD | Method::PUT | Method::DELETE | Method::OPTIONS
            ),
            http: Some(Box::new(facts)),
            caller: admission.caller,
            body: body.bytes,
            body_is_json: body.is_json,
            body_stream: None,
            deadline: Instant::now() + route.http.timeout,
            deployment: None,
            depth: 0,
        };
        Ok((call, admission.headers))
    }
}

/// The client as the load balancer saw it: the first address of `X-Forwarded-For`.
fn forwarded_for(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("x-forwarded-for")?.to_str().ok()?;
    Some(value.split(',').next()?.trim().to_owned())
}

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
                accepted = self.accept(&settings.trusted) => accepted,
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

    async fn accept(&self, trusted: &[Network]) -> io::Result<(Box<dyn Stream>, Origin)> {
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
