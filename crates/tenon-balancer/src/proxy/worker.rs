//! One thread of the load balancer: what its connections share, and its accept loop.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tenon_model::{Clock, Random};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::budget::RetryBudget;
use super::buffer::Buffer;
use super::cids::{Cid, Cids, NewTrace};
use super::connection::BUFFER_BYTES;
use super::pool::Pool;
use super::stream::ServerTls;
use crate::access::AccessLog;
use crate::acme::Acme;
use crate::configuration::Configuration;
use crate::counters::{Counters, count};
use crate::front::{self, Entrance};
use crate::settings::Settings;
use crate::shaping::Shaping;
use crate::tls::Tls;
use crate::upstream::Directory;

/// What all threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) directory: Directory,
    pub(crate) shaping: Shaping,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Client connections open now.
    pub(crate) open: AtomicUsize,
    /// Those of them that speak TLS.
    pub(crate) tls_open: AtomicUsize,
    /// Those of these that speak HTTP/2.
    pub(crate) h2_open: AtomicUsize,
    /// Client connections that speak HTTP/2.
    pub(crate) http2_open: AtomicUsize,
    pub(crate) tls: Tls,
    /// Certificates that are ordered.
    pub(crate) acme: Acme,
    /// Who we are to servers on other hosts.
    pub(crate) server_tls: Option<ServerTls>,
    /// Whether the load balancer is about to stop, and says so to those who ask whether it lives.
    pub(crate) leaving: AtomicBool,
    /// What the cluster's objects say, as it is in force.
    pub(crate) configuration: ArcSwap<Configuration>,
    /// What stands for a missing `Host` of HTTP/1.0.
    pub(crate) own_host: String,
}

/// What a client connection needs only while it has something to do.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) buffer: Vec<u8>,
    pub(crate) head: Vec<u8>,
    pub(crate) out: Vec<u8>,
}

/// One thread.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) access: Option<AccessLog>,
    pub(crate) turn: AtomicUsize,
    pub(crate) waiting: AtomicUsize,
    pub(crate) budget: RetryBudget,
    pool: Mutex<Pool>,
    buffers: Mutex<Vec<Buffer>>,
    memory: Mutex<Vec<Memory>>,
    cids: Mutex<Cids>,
    draining: AtomicBool,
    /// Cancelled when `draining` begins, for those who have to be woken.
    pub(crate) drains: CancellationToken,
    open: Mutex<Vec<(Arc<AtomicBool>, tokio::task::AbortHandle)>>,
}

const SWEEP: Duration = Duration::from_millis(250);
/// Turns that all other tasks of a thread get before idle connections are ended; in each, some dozens of them run.
const TURNS_BEFORE_END: u32 = 16;
/// Buffers that are kept for the next answer: as many as one client of HTTP/2 may have requests.
const BUFFERS_MAX: usize = 128;
/// Memory of client connections that is kept for the next request of any.
const MEMORY_MAX: usize = 256;
/// What heads for servers and clients seldom exceed.
const HEAD_BYTES: usize = 1024;
/// A pause when the system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, counters: Arc<Counters>, access: Option<AccessLog>) -> Self {
        let budget = RetryBudget::new(shared.settings.retry_budget_burst, shared.settings.retry_budget_percent);
        Self {
            shared,
            counters,
            access,
            turn: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            budget,
            pool: Mutex::default(),
            buffers: Mutex::default(),
            memory: Mutex::default(),
            cids: Mutex::default(),
            draining: AtomicBool::new(false),
            drains: CancellationToken::new(),
            open: Mutex::default(),
        }
    }

    /// Accepts and serves until `stop`, then drains.
    ///
    /// Connections are accepted as long as kept ones are waited for, so that nobody has to wait meanwhile for whoever serves next.
    pub(crate) async fn run(self: Arc<Self>, listeners: Vec<(TcpListener, Entrance)>, stop: CancellationToken) {
        let tracker = TaskTracker::new();
        let deaf = CancellationToken::new();
        for (listener, entrance) in listeners {
            let (worker, connections, deaf) = (Arc::clone(&self), tracker.clone(), deaf.clone());
            tracker.spawn(async move {
                // Dropping this future closes our copy of the listener.
                deaf.run_until_cancelled(worker.accept(listener, entrance, connections))
                    .await;
            });
        }
        tracker.close();
        let mut ticks = tokio::time::interval(SWEEP);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.sweep();
        }
        self.draining.store(true, Ordering::Relaxed);
        self.drains.cancel();
        let settings = &self.shared.settings;
        let started = Instant::now();
        loop {
            let waited = started.elapsed();
            if waited >= settings.drain_idle_timeout.0 || self.has_no_connection() {
                deaf.cancel();
            }
            if tokio::time::timeout(SWEEP, tracker.wait()).await.is_ok() {
                break;
            }
            self.sweep();
            let waited = started.elapsed();
            if waited >= settings.drain_timeout.0 {
                self.end(false);
            } else if waited >= settings.drain_idle_timeout.0 {
                // Requests that have arrived by now are read before, and their connections are idle no more.
                for _ in 0..TURNS_BEFORE_END {
                    tokio::task::yield_now().await;
                }
                self.end(true);
            }
        }
        self.flush_access();
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, entrance: Entrance, tracker: TaskTracker) {
        let local = listener.local_addr().ok();
        loop {
            if self.shared.open.load(Ordering::Relaxed) >= self.shared.shaping.limits.connections_max() {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
            match listener.accept().await {
                Ok((stream, address)) => self.begin(stream, address, entrance, &tracker),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, listener = ?local, "accepting connections failed; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn begin(self: &Arc<Self>, stream: TcpStream, address: SocketAddr, entrance: Entrance, tracker: &TaskTracker) {
        // Closed without a word, if it may not be here.
        let Ok(met) = self.shared.shaping.meet(address) else {
            return;
        };
        if stream.set_nodelay(true).is_err() {
            return;
        }
        self.shared.open.fetch_add(1, Ordering::Relaxed);
        count(&self.counters.accepted);
        let worker = Open(Arc::clone(self));
        // Who has just come is about to ask.
        let idle = Arc::new(AtomicBool::new(false));
        let task = tracker.spawn(front::serve(
            worker,
            stream,
            (address, met),
            entrance,
            Arc::clone(&idle),
        ));
        let mut open = lock(&self.open);
        if open.len() == open.capacity() {
            open.retain(|(_, task)| !task.is_finished());
        }
        open.push((idle, task.abort_handle()));
    }

    fn has_no_connection(&self) -> bool {
        lock(&self.open).iter().all(|(_, task)| task.is_finished())
    }

    /// Ends connections that are between two requests, or all.
    fn end(&self, idle_only: bool) {
        for (idle, task) in lock(&self.open).iter() {
            if !idle_only || idle.load(Ordering::Relaxed) {
                task.abort();
            }
        }
    }

    fn sweep(&self) {
        let table = self.shared.directory.table();
        self.pool().sweep(
            &table.pooled,
            self.shared.settings.server_idle_timeout.0,
            Instant::now(),
        );
        self.budget.refill();
        self.flush_access();
    }

    fn flush_access(&self) {
        if let Some(access) = &self.access {
            access.flush();
        }
    }

    pub(crate) fn pool(&self) -> MutexGuard<'_, Pool> {
        lock(&self.pool)
    }

    /// Whether clients should come back on a new connection.
    pub(crate) fn is_closing(&self) -> bool {
        let limit = self.shared.shaping.limits.connections_max();
        self.draining.load(Ordering::Relaxed) || self.shared.open.load(Ordering::Relaxed) > limit - limit / 10
    }

    /// What a client connection reads and writes with while it has something to do.
    pub(crate) fn memory(&self) -> Memory {
        lock(&self.memory).pop().unwrap_or_else(|| Memory {
            buffer: vec![0; BUFFER_BYTES],
            head: Vec::with_capacity(HEAD_BYTES),
            out: Vec::with_capacity(HEAD_BYTES),
        })
    }

    pub(crate) fn give_memory_back(&self, mut memory: Memory) {
        // Whatever did not go out any more is nobody else's business.
        memory.head.clear();
        memory.out.clear();
        let mut kept = lock(&self.memory);
        if kept.len() < MEMORY_MAX && memory.head.capacity() <= BUFFER_BYTES && memory.out.capacity() <= BUFFER_BYTES {
            kept.push(memory);
        }
    }

    pub(crate) fn buffer(&self) -> Buffer {
        let kept = lock(&self.buffers).pop();
        kept.unwrap_or_else(|| Buffer::new(self.shared.settings.relay_buffer_bytes.max(4096)))
    }

    pub(crate) fn give_back(&self, mut buffer: Buffer) {
        buffer.clear();
        let mut buffers = lock(&self.buffers);
        if buffers.len() < BUFFERS_MAX {
            buffers.push(buffer);
        }
    }

    /// A new correlation id.
    pub(crate) fn cid(&self) -> Cid {
        lock(&self.cids).next(&*self.shared.random)
    }

    /// A new trace.
    pub(crate) fn new_trace(&self) -> NewTrace {
        lock(&self.cids).new_trace(&*self.shared.random)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Errors of `accept` that say something about one client only.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::Interrupted
    )
}

/// The worker of a client connection, which counts it while it lives.
pub(crate) struct Open(pub(crate) Arc<Worker>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.shared.open.fetch_sub(1, Ordering::Relaxed);
        count(&self.0.counters.closed);
    }
}

/// What stands for a missing `Host`: the address that clients connect to.
pub(crate) fn own_host(address: Option<SocketAddr>) -> String {
    let mut text = String::new();
    match address {
        // Writing to a string can't fail.
        Some(address) => drop(write!(text, "{address}")),
        None => text.push_str("localhost"),
    }
    text
}
