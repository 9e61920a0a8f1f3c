//! The load balancer as a whole: its threads, and the handle by which others look at it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use prometheus_client::registry::Registry;
use tenon_model::{Clock, Random};
use tenon_protocol::control::BalancerConfiguration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::access::{self, AccessLog};
use crate::acme::{self, Acme};
use crate::counters::Counters;
use crate::error::BalancerError;
use crate::front::Entrance;
use crate::proxy::{ServerTls, Shared, Worker, own_host};
use crate::settings::Settings;
use crate::shaping::Shaping;
use crate::status::Status;
use crate::tls::{CertificateFiles, Tls};
use crate::upstream::{Directory, Upstreams};
use crate::{configuration, health, metrics, tls};

/// What the load balancer is given.
#[derive(Debug)]
pub struct Deps {
    /// Public listening sockets, already bound. They stay open elsewhere, so that no connection is refused in a restart.
    pub listeners: Vec<std::net::TcpListener>,
    /// The same for HTTPS.
    pub tls_listeners: Vec<std::net::TcpListener>,
    /// The certificate that is shown where no other is for the host.
    pub default_certificate: Option<CertificateFiles>,
    /// Who the load balancer is to servers on other hosts; without it such servers can't be reached.
    pub server_tls: Option<Arc<rustls::ClientConfig>>,
    /// The servers, as they change.
    pub servers: watch::Receiver<Upstreams>,
    /// What the cluster's objects say, as they change.
    pub configuration: watch::Receiver<Arc<BalancerConfiguration>>,
    /// The folder for certificates that are ordered and for accounts at their authorities; made when it is needed.
    pub acme: PathBuf,
    /// By which certificates are renewed.
    pub clock: Arc<dyn Clock>,
    /// For correlation ids, and for when certificates are renewed.
    pub random: Arc<dyn Random>,
}

/// The load balancer, ready to run.
#[derive(Debug)]
pub struct Balancer {
    shared: Arc<Shared>,
    counters: Vec<Arc<Counters>>,
    listeners: Vec<(std::net::TcpListener, Entrance)>,
    servers: watch::Receiver<Upstreams>,
    configuration: watch::Receiver<Arc<BalancerConfiguration>>,
}

/// Looks at a load balancer, from anywhere.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) counters: Vec<Arc<Counters>>,
}

impl Handle {
    /// How the load balancer and each server is.
    pub fn status(&self) -> Status {
        Status::of(self)
    }

    /// Wakes when there are other servers, when one is in another state, and when a configuration comes into force.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.directory.changes()
    }

    /// Requests that wait for their turn, or for room at a server, now.
    pub(crate) fn queued(&self) -> usize {
        let room = self.shared.directory.room();
        self.shared.shaping.waiting() + room.waiting.load(Ordering::Relaxed)
    }

    /// Adds the load balancer's metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        metrics::register(self, registry);
    }
}

impl Balancer {
    /// Checks settings and sockets; nothing is accepted yet.
    pub fn new(settings: Settings, deps: Deps) -> Result<Self, BalancerError> {
        let https_port = deps
            .tls_listeners
            .first()
            .and_then(|listener| listener.local_addr().ok());
        let https_port = https_port.map(|address| address.port());
        let shaping = Shaping::new(&settings, https_port).map_err(BalancerError::Trusted)?;
        let listeners: Vec<_> = with(deps.listeners, Entrance::Http)
            .chain(with(deps.tls_listeners, Entrance::Https))
            .collect();
        let Some((first, _)) = listeners.first() else {
            return Err(BalancerError::NoListener);
        };
        let own_host = own_host(first.local_addr().ok());
        for (listener, _) in &listeners {
            listener.set_nonblocking(true).map_err(BalancerError::Listener)?;
        }
        let threads = match settings.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        };
        let directory = Directory::new(settings.health_fall, settings.slow_start.0);
        let tls = Tls::new(settings.http2, deps.default_certificate);
        let shared = Shared {
            settings,
            directory,
            shaping,
            random: deps.random,
            clock: deps.clock,
            open: AtomicUsize::new(0),
            tls_open: AtomicUsize::new(0),
            h2_open: AtomicUsize::new(0),
            http2_open: AtomicUsize::new(0),
            tls,
            acme: Acme::new(deps.acme),
            server_tls: deps.server_tls.map(ServerTls),
            leaving: AtomicBool::new(false),
            configuration: ArcSwap::default(),
            own_host,
        };
        let mut configuration = deps.configuration;
        configuration::put_in_force(&shared, &configuration.borrow_and_update());
        Ok(Self {
            shared: Arc::new(shared),
            counters: (0..threads).map(|_| Arc::default()).collect(),
            listeners,
            servers: deps.servers,
            configuration,
        })
    }

    /// A handle, to be taken before `run`.
    pub fn handle(&self) -> Handle {
        Handle {
            shared: Arc::clone(&self.shared),
            counters: self.counters.clone(),
        }
    }

    /// Serves until `stop`, says for a while that it is about to leave, then drains: answers tell clients to close, who comes while kept
    /// connections are waited for is served still, and what is there at the deadline is cut.
    pub async fn run(self, stop: CancellationToken) -> Result<(), BalancerError> {
        let settings = &self.shared.settings;
        let log = if settings.access_log {
            Some(access::start(settings.access_log_queue_max).map_err(BalancerError::Thread)?)
        } else {
            None
        };
        // Threads end themselves when they have drained; dropping this future must stop them as well.
        let asked = stop;
        let stop = CancellationToken::new();
        let _stop_on_drop = stop.clone().drop_guard();
        let mut threads = Vec::new();
        for (number, counters) in self.counters.iter().enumerate() {
            let access = log.as_ref().map(|(make, ..)| make());
            threads.push(self.start_thread(number, Arc::clone(counters), access, &stop)?);
        }
        drop(self.listeners);
        // Requests that go on while draining still want to know how servers are.
        let checks = CancellationToken::new();
        let drained = tokio::task::spawn_blocking({
            let checks = checks.clone();
            move || {
                let _checks = checks.drop_guard();
                threads.into_iter().all(|thread| thread.join().is_ok())
            }
        });
        tokio::join!(
            health::run(Arc::clone(&self.shared), self.servers, checks.clone()),
            tls::follow_files(&self.shared, checks.clone()),
            configuration::run(Arc::clone(&self.shared), self.configuration, checks),
            acme::run(Arc::clone(&self.shared), asked.child_token()),
            leave(&self.shared, &asked, &stop),
        );
        let joined = drained.await.unwrap_or(false);
        if let Some((make, _, writer)) = log {
            drop(make);
            // A writer that panicked has nothing left to write.
            let _ = tokio::task::spawn_blocking(move || writer.join()).await;
        }
        if joined {
            Ok(())
        } else {
            Err(BalancerError::Thread(std::io::Error::other("a thread panicked")))
        }
    }

    fn start_thread(
        &self,
        number: usize,
        counters: Arc<Counters>,
        access: Option<AccessLog>,
        stop: &CancellationToken,
    ) -> Result<JoinHandle<()>, BalancerError> {
        let listeners = self
            .listeners
            .iter()
            .map(|(listener, entrance)| Ok((listener.try_clone()?, *entrance)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(BalancerError::Listener)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(BalancerError::Thread)?;
        let worker = Arc::new(Worker::new(Arc::clone(&self.shared), counters, access));
        let stop = stop.clone();
        let serve = move || {
            let _runtime = runtime.enter();
            let listeners: std::io::Result<Vec<_>> = listeners
                .into_iter()
                .map(|(listener, entrance)| Ok((TcpListener::from_std(listener)?, entrance)))
                .collect();
            match listeners {
                Ok(listeners) => runtime.block_on(worker.run(listeners, stop)),
                Err(error) => tracing::error!(%error, "a listening socket can't be used"),
            }
        };
        std::thread::Builder::new()
            .name(format!("balancer-{number}"))
            .spawn(serve)
            .map_err(BalancerError::Thread)
    }
}

/// Once asked to stop: says so to those who ask whether the load balancer lives, then has the threads stop.
async fn leave(shared: &Shared, asked: &CancellationToken, stop: &CancellationToken) {
    asked.cancelled().await;
    shared.leaving.store(true, Ordering::Relaxed);
    tokio::time::sleep(shared.settings.drain_delay.0).await;
    stop.cancel();
}

fn with(
    listeners: Vec<std::net::TcpListener>,
    entrance: Entrance,
) -> impl Iterator<Item = (std::net::TcpListener, Entrance)> {
    listeners.into_iter().map(move |listener| (listener, entrance))
}
