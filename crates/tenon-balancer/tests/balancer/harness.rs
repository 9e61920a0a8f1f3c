//! A load balancer and servers for tests. What a server does is decided by the path of the request.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tenon_balancer::{
    Balancer, BalancerError, CertificateFiles, Deps, Endpoint, Handle, Server, ServerState, Settings, Upstreams,
};
use tenon_model::{Clock, InstanceId, ManualClock, Revision, SystemClock, Timestamp};
use tenon_protocol::control::{BalancerConfiguration, ConfigurationPart};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::secure::Pem;

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What a server can be told, and what it saw.
#[derive(Debug, Default)]
pub(crate) struct Behaviour {
    pub(crate) not_ready: AtomicBool,
    /// Answers nothing any more, checks included; connections are still accepted by the kernel.
    pub(crate) frozen: AtomicBool,
    /// Requests, beyond checks, whose connection is closed without an answer.
    pub(crate) deaths: AtomicUsize,
    /// Requests as they came, checks not counted.
    pub(crate) seen: Mutex<Vec<Vec<u8>>>,
    pub(crate) connections: AtomicUsize,
    /// Bytes of bodies read by `/sink`.
    pub(crate) sunk: AtomicUsize,
}

impl Behaviour {
    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

/// A server on a Unix socket.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) behaviour: Arc<Behaviour>,
    task: Option<(JoinHandle<()>, CancellationToken)>,
}

impl Backend {
    pub(crate) fn new(name: &str, path: PathBuf) -> Self {
        Self {
            name: name.into(),
            path,
            behaviour: Arc::default(),
            task: None,
        }
    }

    pub(crate) fn start(&mut self) {
        let _ = std::fs::remove_file(&self.path);
        let listener = UnixListener::bind(&self.path).unwrap();
        let (behaviour, name, alive) = (Arc::clone(&self.behaviour), self.name.clone(), CancellationToken::new());
        let token = alive.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                behaviour.connections.fetch_add(1, Ordering::SeqCst);
                let (behaviour, name, token) = (Arc::clone(&behaviour), name.clone(), token.clone());
                tokio::spawn(async move { token.run_until_cancelled(serve(stream, &behaviour, &name)).await });
            }
        });
        self.task = Some((task, alive));
    }

    /// Ends it as kill -9 would: nothing accepts any more, and every connection is closed.
    pub(crate) async fn kill(&mut self) {
        if let Some((task, alive)) = self.task.take() {
            task.abort();
            let _ = task.await;
            alive.cancel();
        }
    }
}

async fn read_request(stream: &mut UnixStream, buffer: &mut Vec<u8>) -> Option<(String, usize)> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end + 4]).into_owned();
            return Some((head, end + 4));
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Reads a body and returns what came on the wire.
async fn read_body(stream: &mut UnixStream, buffer: &mut Vec<u8>, head: &str) -> Option<Vec<u8>> {
    if header(head, "transfer-encoding").is_some() {
        loop {
            let end = if buffer.starts_with(b"0\r\n") {
                Some(0)
            } else {
                buffer
                    .windows(5)
                    .position(|window| window == b"\r\n0\r\n")
                    .map(|at| at + 2)
            };
            if let Some(end) = end {
                let rest = &buffer[end + 3..];
                let tail = if rest.starts_with(b"\r\n") {
                    Some(2)
                } else {
                    rest.windows(4)
                        .position(|window| window == b"\r\n\r\n")
                        .map(|at| at + 4)
                };
                if let Some(tail) = tail {
                    return Some(buffer.drain(..end + 3 + tail).collect());
                }
            }
            if stream.read_buf(buffer).await.ok()? == 0 {
                return None;
            }
        }
    }
    let length: usize = header(head, "content-length").map_or(0, |text| text.parse().unwrap());
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    Some(buffer.drain(..length).collect())
}

fn answer(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

async fn serve(mut stream: UnixStream, behaviour: &Behaviour, name: &str) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let (head, length) = read_request(&mut stream, &mut buffer).await?;
        while behaviour.frozen.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let path = head.split(' ').nth(1).unwrap().to_owned();
        if path == "/tenon/ready" {
            let status = if behaviour.not_ready.load(Ordering::SeqCst) {
                "503 No"
            } else {
                "200 OK"
            };
            let text = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(text.as_bytes()).await.ok()?;
            continue;
        }
        buffer.drain(..length);
        behaviour.seen.lock().unwrap().push(head.clone().into_bytes());
        if path == "/sink" {
            sink(&mut stream, &mut buffer, &head, behaviour).await?;
            continue;
        }
        if path == "/early" {
            stream
                .write_all(b"HTTP/1.1 413 No\r\ncontent-length: 3\r\nconnection: close\r\n\r\nno!")
                .await
                .ok()?;
            return None;
        }
        if path == "/continue" {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.ok()?;
        }
        let body = read_body(&mut stream, &mut buffer, &head).await?;
        if let Some(last) = behaviour.seen.lock().unwrap().last_mut() {
            last.extend_from_slice(&body);
        }
        if behaviour.deaths.load(Ordering::SeqCst) > 0 {
            behaviour.deaths.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        respond(&mut stream, &path, &head, &body, name).await?;
    }
}

async fn sink(stream: &mut UnixStream, buffer: &mut Vec<u8>, head: &str, behaviour: &Behaviour) -> Option<()> {
    let length: usize = header(head, "content-length").unwrap().parse().unwrap();
    let mut got = buffer.len();
    buffer.clear();
    let mut chunk = vec![0; 64 * 1024];
    while got < length {
        let count = stream.read(&mut chunk).await.ok()?;
        if count == 0 {
            return None;
        }
        got += count;
        behaviour.sunk.store(got, Ordering::SeqCst);
    }
    stream.write_all(&answer(&got.to_string())).await.ok()
}

async fn respond(stream: &mut UnixStream, path: &str, head: &str, body: &[u8], name: &str) -> Option<()> {
    let text: Vec<u8> = match path {
        "/head" => answer(head),
        "/echo" | "/continue" => answer(&String::from_utf8_lossy(body)),
        "/hop" => b"HTTP/1.1 200 OK\r\nconnection: x-secret, keep-alive\r\nkeep-alive: timeout=5\r\nx-secret: 1\r\nx-open: 2\r\ncontent-length: 0\r\n\r\n".to_vec(),
        "/chunked" => b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nx-sum: 7\r\n\r\n".to_vec(),
        "/until-close" => b"HTTP/1.1 200 OK\r\n\r\nto the end".to_vec(),
        "/204" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        "/304" => b"HTTP/1.1 304 Not Modified\r\ncontent-length: 99\r\n\r\n".to_vec(),
        "/length-only" => b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n".to_vec(),
        "/garbage" => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n".to_vec(),
        "/nonsense" => b"nonsense\r\n\r\n".to_vec(),
        "/two-lengths" => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!".to_vec(),
        "/truncated" => b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nhalf".to_vec(),
        "/then-close" => answer(name),
        "/hang" => {
            tokio::time::sleep(PATIENCE).await;
            return None;
        }
        "/ws" => return web_socket(stream).await,
        path => {
            if let Some(size) = path.strip_prefix("/big/") {
                return big(stream, size.parse().unwrap()).await;
            }
            answer(name)
        }
    };
    stream.write_all(&text).await.ok()?;
    let closes = matches!(
        path,
        "/until-close" | "/truncated" | "/then-close" | "/nonsense" | "/two-lengths"
    );
    (!closes).then_some(())
}

async fn big(stream: &mut UnixStream, size: usize) -> Option<()> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    let chunk = vec![b'x'; 64 * 1024];
    let mut left = size;
    while left > 0 {
        let count = left.min(chunk.len());
        stream.write_all(&chunk[..count]).await.ok()?;
        left -= count;
    }
    Some(())
}

async fn web_socket(stream: &mut UnixStream) -> Option<()> {
    stream
        .write_all(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nwelcome ")
        .await
        .ok()?;
    let mut chunk = vec![0; 1024];
    loop {
        let count = stream.read(&mut chunk).await.ok()?;
        if count == 0 {
            return None;
        }
        stream.write_all(&chunk[..count]).await.ok()?;
    }
}

/// A load balancer in front of servers.
pub(crate) struct Cluster {
    pub(crate) backends: Vec<Backend>,
    pub(crate) address: SocketAddr,
    pub(crate) tls_address: SocketAddr,
    /// Where the files of the default certificate are.
    pub(crate) tls: PathBuf,
    /// Where certificates are kept that were ordered.
    pub(crate) acme: PathBuf,
    /// The load balancer's clock, which stands still.
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) certificate: Pem,
    pub(crate) handle: Handle,
    pub(crate) servers: watch::Sender<Upstreams>,
    pub(crate) configuration: watch::Sender<Arc<BalancerConfiguration>>,
    pub(crate) stop: CancellationToken,
    pub(crate) running: JoinHandle<Result<(), BalancerError>>,
    _directory: tempfile::TempDir,
}

/// Settings with which tests are quick.
pub(crate) fn settings() -> Settings {
    toml::from_str("threads = 1\nhealth_interval = '100ms'\nhealth_timeout = '300ms'\naccess_log = true").unwrap()
}

impl Cluster {
    /// A load balancer with that many servers, all ready.
    pub(crate) async fn start(count: usize, settings: Settings) -> Self {
        let cluster = Self::start_cold(count, settings, true);
        cluster
            .until(|status| {
                status
                    .servers
                    .iter()
                    .filter(|server| server.health == tenon_balancer::Health::Ready)
                    .count()
                    == count
            })
            .await;
        cluster
    }

    /// The same without waiting, and with servers that do not run if `up` is false.
    pub(crate) fn start_cold(count: usize, settings: Settings, up: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut backends: Vec<Backend> = (1..=count)
            .map(|number| {
                Backend::new(
                    &format!("server{number}"),
                    directory.path().join(format!("{number}.sock")),
                )
            })
            .collect();
        if up {
            backends.iter_mut().for_each(Backend::start);
        }
        let list = backends
            .iter()
            .map(|backend| Server {
                name: backend.name.clone(),
                endpoint: Endpoint::Unix(backend.path.clone()),
                weight: 1,
                state: ServerState::Ready,
            })
            .collect();
        let (servers, receiver) = watch::channel(Upstreams { servers: list });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (configuration, configured) = watch::channel(Arc::default());
        let tls_listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let tls_address = tls_listener.local_addr().unwrap();
        let tls = directory.path().join("tls");
        std::fs::create_dir(&tls).unwrap();
        let certificate = Pem::of(&["localhost"]);
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        certificate.write(&tls);
        let deps = Deps {
            server_tls: None,
            listeners: vec![listener],
            tls_listeners: vec![tls_listener],
            default_certificate: Some(CertificateFiles {
                certificate: tls.join("cert.pem"),
                private_key: tls.join("key.pem"),
            }),
            servers: receiver,
            configuration: configured,
            acme: directory.path().join("acme"),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            random: Arc::new(tenon_model::SystemRandom),
        };
        let balancer = Balancer::new(settings, deps).unwrap();
        let (handle, stop) = (balancer.handle(), CancellationToken::new());
        let running = tokio::spawn(balancer.run(stop.clone()));
        Self {
            backends,
            address,
            tls_address,
            tls,
            acme: directory.path().join("acme"),
            clock,
            certificate,
            handle,
            servers,
            configuration,
            stop,
            running,
            _directory: directory,
        }
    }

    pub(crate) async fn until(&self, condition: impl Fn(&tenon_balancer::Status) -> bool) {
        let waiting = async {
            while !condition(&self.handle.status()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let done = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(done.is_ok(), "not reached: {:?}", self.handle.status());
    }

    /// Puts this into force: the object `balancer/main` and rules by their names.
    pub(crate) async fn configure(&self, balancer: Value, rules: &[(&str, Value)]) {
        let part = |name: &str, body: Value| ConfigurationPart {
            name: name.into(),
            version: 1,
            body,
            problem: String::new(),
        };
        let revision = Revision(self.configuration.borrow().revision.0 + 1);
        self.configuration.send_replace(Arc::new(BalancerConfiguration {
            revision,
            balancer: Some(part("main", balancer)),
            rules: rules.iter().map(|(name, body)| part(name, body.clone())).collect(),
            ..BalancerConfiguration::default()
        }));
        let report = || {
            self.handle
                .report("lb", &InstanceId::from_text("i"), Timestamp::default())
        };
        let in_force = async {
            while report().revision != revision {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, in_force)
            .await
            .expect("a configuration in force");
        assert_eq!(report().problems, []);
    }

    /// How often each rule matched and refused.
    pub(crate) fn rules(&self) -> Vec<(String, u64, u64)> {
        let report = self
            .handle
            .report("lb", &InstanceId::from_text("i"), Timestamp::default());
        let rules = report.rules.into_iter();
        rules.map(|rule| (rule.name, rule.hits, rule.refused)).collect()
    }

    /// Everything that is measured, as Prometheus reads it.
    pub(crate) fn metrics(&self) -> String {
        let mut registry = prometheus_client::registry::Registry::default();
        self.handle.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    }

    /// Waits until that many requests wait for their turn.
    pub(crate) async fn until_queued(&self, count: usize) {
        let wanted = format!("tenon_balancer_queued_requests {count}\n");
        eventually("requests that wait", || self.metrics().contains(&wanted)).await;
    }

    /// A connection from another address of this host, such as 127.0.0.2.
    pub(crate) async fn connect_from(&self, address: &str) -> Client {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
        Client {
            stream: socket.connect(self.address).await.unwrap(),
            buffer: Vec::new(),
        }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client {
            stream: TcpStream::connect(self.address).await.unwrap(),
            buffer: Vec::new(),
        }
    }

    /// Sends bytes on a new connection, says that no more come, and reads all that is answered.
    pub(crate) async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.connect().await;
        // The load balancer may have refused and closed before it read everything.
        let _ = client.stream.write_all(bytes.as_ref()).await;
        let _ = client.stream.shutdown().await;
        client.rest().await
    }

    /// A `GET` on a new connection.
    pub(crate) async fn get(&self, path: &str) -> String {
        self.raw(format!("GET {path} HTTP/1.1\r\nhost: t\r\n\r\n")).await
    }

    /// Requests that servers saw, checks not counted.
    pub(crate) fn seen(&self) -> usize {
        self.backends.iter().map(|backend| backend.behaviour.count()).sum()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop.cancel();
        self.running.abort();
    }
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) buffer: Vec<u8>,
}

impl Client {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Everything up to the end of the connection.
    pub(crate) async fn rest(&mut self) -> String {
        let mut all = std::mem::take(&mut self.buffer);
        // A reset ends a connection as well.
        let _ = tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut all))
            .await
            .expect("the connection stays open");
        String::from_utf8_lossy(&all).into_owned()
    }

    /// So many bytes.
    pub(crate) async fn until_bytes(&mut self, count: usize) -> String {
        let reading = async {
            while self.buffer.len() < count {
                let read = self.stream.read_buf(&mut self.buffer).await.unwrap();
                assert!(read > 0, "the connection ended");
            }
        };
        tokio::time::timeout(PATIENCE, reading)
            .await
            .expect("an answer in time");
        let bytes: Vec<u8> = self.buffer.drain(..count).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Bytes up to and with `end`.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let reading = async {
            loop {
                if let Some(at) = self
                    .buffer
                    .windows(end.len())
                    .position(|window| window == end.as_bytes())
                {
                    let found: Vec<u8> = self.buffer.drain(..at + end.len()).collect();
                    return String::from_utf8_lossy(&found).into_owned();
                }
                let count = self.stream.read_buf(&mut self.buffer).await.unwrap();
                assert!(
                    count > 0,
                    "the connection ended after {:?}",
                    String::from_utf8_lossy(&self.buffer)
                );
            }
        };
        tokio::time::timeout(PATIENCE, reading)
            .await
            .expect("an answer in time")
    }
}

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "{what}");
}

/// The status of the first answer in a text.
pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}
