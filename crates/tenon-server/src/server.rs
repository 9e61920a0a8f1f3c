//! A server, put together and run: objects, services, channels, jobs, manifests, control API, heartbeat.

use std::net::TcpListener as StdTcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tenon_control::{ControlListener, Identity, MetricsText, health_routes, serve_probes};
use tenon_model::{Clock, InstanceId, Revision, SystemClock};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::channels::{AnswerCache, DataListener, DataPlane, OpenApi};
use crate::control::{Api, routes};
use crate::host::{Host, HostParts};
use crate::invoke::Invoker;
use crate::jobs::RunExecutor;
use crate::manifests_folder::{FirstLook, ManifestsFolder};
use crate::membership::ServerHealth;
use crate::metrics::Metrics;
use crate::object_writer::ObjectWriter;
use crate::objects::ObjectFollower;
use crate::rate_limits::{Meters, follow_servers};
use crate::secrets::Secrets;
use crate::security::{ClusterKey, Users};
use crate::server_parts::{ConditionListener, ServerError, ServerParts, ServerSettings};
use crate::services::{Services, ServicesParts};
use crate::snapshot::{SnapshotBuilder, SnapshotCell};

/// How often is looked whether the server is still as it was told.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long a server that starts waits for its user configuration.
const CONFIG_WAIT: Duration = Duration::from_secs(5);
/// How long a server that stops waits until the locks of its calls are given back.
const LOCKS_WAIT: Duration = Duration::from_secs(2);

/// Runs a server until told to stop; returns when everything that ran has ended.
///
/// It stops in this order: it says that it drains, so that load balancers look elsewhere; then it takes no more connections
/// and runs; what runs finishes; workers end last.
pub async fn run_server(parts: ServerParts, stop: CancellationToken) -> Result<(), ServerError> {
    let (server, outside) = Server::assemble(parts)?;
    server.run(outside, stop).await;
    Ok(())
}

/// What all parts of a server share, and how it is told who is on the outside.
struct Server {
    api: Arc<Api>,
    host: Arc<Host>,
    revision: watch::Sender<Option<Revision>>,
    first_look: watch::Sender<FirstLook>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    meters: Arc<Meters>,
    instance: InstanceId,
    name: String,
    settings: ServerSettings,
}

/// The sockets and files of a server.
struct Outside {
    data: DataListener,
    control: ControlListener,
    probes: Option<TcpListener>,
    manifests: PathBuf,
    first_admin: Option<(String, String)>,
    condition: ConditionListener,
}

/// What the outside of a server is made of.
struct OutsideParts {
    control: StdTcpListener,
    probes: Option<StdTcpListener>,
    identity: Identity,
    data: StdTcpListener,
    data_socket: PathBuf,
    manifests: PathBuf,
    first_admin: Option<(String, String)>,
    condition: ConditionListener,
}

impl Server {
    fn assemble(parts: ServerParts) -> Result<(Self, Outside), ServerError> {
        let settings = parts.settings.clone();
        let snapshot = Arc::new(SnapshotCell::default());
        let metrics = Arc::new(Metrics::new(settings.host.metric_series_max));
        let invoker = Invoker::new(Arc::clone(&metrics), settings.invoke.clone());
        let secrets = secrets_of(&parts)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let host = host_of(&parts, &invoker, &snapshot, &metrics, &secrets, &clock);
        let services = services_of(&parts, &host)?;
        invoker.attach(services.clone());
        let writer = writer_of(&parts, &secrets, &services, &snapshot);
        host.attach(writer.clone());
        let (name, instance) = (parts.presence.name.clone(), parts.presence.instance.clone());
        let (revision, revisions) = watch::channel(None);
        let (first_look, first_looks) = watch::channel(FirstLook::Due);
        let lifetime = settings.invoke.session_lifetime;
        let openapi = OpenApi::new(Arc::clone(&snapshot), services.clone(), settings.openapi.clone());
        let api = Arc::new(Api {
            cluster: parts.cluster,
            users: Users::new(parts.store.clone(), Arc::clone(&parts.random), lifetime),
            health: ServerHealth::new(
                parts.presence,
                Arc::clone(&snapshot),
                services.clone(),
                revisions,
                first_looks,
            ),
            store: parts.store,
            catalog: parts.catalog,
            snapshot,
            services,
            invoker,
            secrets,
            openapi: Arc::new(openapi),
            writer,
            random: parts.random,
        });
        let meters = Meters::new(api.store.clone(), Arc::clone(&clock));
        let server = Self {
            api,
            host,
            revision,
            first_look,
            metrics,
            clock,
            meters: Arc::new(meters),
            instance,
            name,
            settings,
        };
        let outside = server.outside(OutsideParts {
            control: parts.control_listener,
            probes: parts.probe_listener,
            identity: parts.identity,
            data: parts.data_listener,
            data_socket: parts.data_socket,
            manifests: parts.manifests,
            first_admin: parts.first_admin,
            condition: parts.condition,
        })?;
        Ok((server, outside))
    }

    /// Opens what the outside reaches the server by.
    fn outside(&self, parts: OutsideParts) -> Result<Outside, ServerError> {
        let control = listener("of the control address", parts.control)?;
        Ok(Outside {
            control: ControlListener::new(control, &parts.identity, self.router(), self.settings.control.clone())?,
            probes: parts.probes.map(|socket| listener("for probes", socket)).transpose()?,
            data: data_listener(parts.data, &parts.data_socket, &parts.identity)?,
            manifests: parts.manifests,
            first_admin: parts.first_admin,
            condition: parts.condition,
        })
    }

    /// Everything that the control address answers.
    fn router(&self) -> axum::Router {
        self.health_routes()
            .merge(routes(Arc::clone(&self.api), self.settings.control.body_bytes_max))
    }

    /// What probes and monitoring ask.
    fn health_routes(&self) -> axum::Router {
        let metrics = Arc::clone(&self.metrics);
        let text: MetricsText = Arc::new(move || metrics.text());
        health_routes(Arc::clone(&self.api.health) as _, text)
    }

    fn follower(&self) -> ObjectFollower {
        ObjectFollower {
            store: self.api.store.clone(),
            builder: Arc::new(SnapshotBuilder {
                catalog: Arc::clone(&self.api.catalog),
                connectors: tenon_connectors::connectors(),
                connector_settings: Arc::new(self.settings.connections.clone()),
                random: Arc::clone(&self.api.random),
                clock: Arc::clone(&self.clock),
                meters: Arc::clone(&self.meters),
                routes: AtomicU64::new(1),
            }),
            cell: Arc::clone(&self.api.snapshot),
            secrets: self.api.secrets.clone(),
            revision: self.revision.clone(),
        }
    }

    fn executor(&self) -> RunExecutor {
        RunExecutor {
            store: self.api.store.clone(),
            invoker: Arc::clone(&self.api.invoker),
            health: Arc::clone(&self.api.health),
            server: self.name.clone(),
            instance: self.instance.clone(),
            random: Arc::clone(&self.api.random),
            secrets: self.api.secrets.clone(),
            settings: self.settings.invoke.clone(),
        }
    }

    fn manifests(&self, folder: PathBuf) -> ManifestsFolder {
        ManifestsFolder {
            lease_name: format!("manifests-folder:{}", folder.display()),
            folder,
            writer: self.api.writer.clone(),
            instance: self.instance.clone(),
            first_look: self.first_look.clone(),
        }
    }

    fn plane(&self) -> Arc<DataPlane> {
        let health = Arc::clone(&self.api.health);
        let (loading, draining) = (Arc::clone(&health), Arc::clone(&health));
        Arc::new(DataPlane {
            snapshot: Arc::clone(&self.api.snapshot),
            invoker: Arc::clone(&self.api.invoker),
            openapi: Arc::clone(&self.api.openapi),
            ready: Arc::new(move || health.is_ready()),
            loaded: Arc::new(move || loading.knows_objects()),
            draining: Arc::new(move || draining.is_draining()),
            random: Arc::clone(&self.api.random),
            store: self.api.store.clone(),
            cache: AnswerCache::new(self.settings.data.cached_bytes_max),
            settings: self.settings.data.clone(),
            tasks: TaskTracker::new(),
        })
    }

    async fn run(self, outside: Outside, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        // Work stops first; what it needs (objects, heartbeat, control address, workers) stops when it has ended.
        let (work, support) = (CancellationToken::new(), CancellationToken::new());
        let (store, health) = (&self.api.store, &self.api.health);
        tasks.spawn(self.follower().run(support.clone()));
        tasks.spawn(Arc::clone(health).beat(store.clone(), support.clone()));
        tasks.spawn(follow_servers(Arc::clone(&self.meters), store.clone(), support.clone()));
        tasks.spawn(outside.control.run(support.clone()));
        if let Some(probes) = outside.probes {
            tasks.spawn(serve_probes(probes, self.health_routes(), support.clone()));
        }
        tasks.spawn(tell(Arc::clone(health), outside.condition, support.clone()));
        tasks.spawn(bootstrap(self.api.users.clone(), outside.first_admin, support.clone()));
        // Workers get it before their first call; a folder that can't be read must not keep the server from starting.
        if tokio::time::timeout(CONFIG_WAIT, self.host.user_config.read())
            .await
            .is_err()
        {
            tracing::warn!("user configuration is not read yet; services get it when it is");
        }
        let configured = self.api.services.clone();
        tasks.spawn(Arc::clone(&self.host.user_config).run(move || configured.configure(), support.clone()));
        let services_stop = CancellationToken::new();
        let services = tasks.spawn(self.api.services.clone().run(services_stop.clone()));
        let working = TaskTracker::new();
        working.spawn(self.manifests(outside.manifests).run(work.clone()));
        working.spawn(self.executor().run(work.clone()));
        let ready = Arc::clone(health);
        let background = Arc::clone(&self.host.background);
        working.spawn(background.run(move || ready.is_ready(), work.clone()));
        let (loading, data) = (Arc::clone(health), self.settings.data.clone());
        let loaded = async move { loading.loaded().await };
        working.spawn(outside.data.run(self.plane(), loaded, data, work.clone()));

        stop.cancelled().await;
        health.drain();
        tokio::time::sleep(self.settings.data.drain_delay.0).await;
        work.cancel();
        working.close();
        working.wait().await;
        services_stop.cancel();
        if services.await.is_err() {
            tracing::error!("the task that runs services failed");
        }
        if tokio::time::timeout(LOCKS_WAIT, self.host.locks.close()).await.is_err() {
            tracing::warn!(
                "locks of calls that have ended were not given back; the store does so when the server has gone"
            );
        }
        support.cancel();
        tasks.close();
        tasks.wait().await;
        health.say_goodbye(store).await;
    }
}

fn secrets_of(parts: &ServerParts) -> Result<Secrets, ServerError> {
    Ok(Secrets {
        environment: Arc::clone(&parts.environment),
        key: Arc::new(ClusterKey::load(&parts.secret_key_file)?),
        random: Arc::clone(&parts.random),
    })
}

fn host_of(
    parts: &ServerParts,
    invoker: &Arc<Invoker>,
    snapshot: &Arc<SnapshotCell>,
    metrics: &Arc<Metrics>,
    secrets: &Secrets,
    clock: &Arc<dyn Clock>,
) -> Arc<Host> {
    Host::new(HostParts {
        server: parts.presence.name.clone(),
        instance: parts.presence.instance.clone(),
        invoker: Arc::clone(invoker),
        snapshot: Arc::clone(snapshot),
        metrics: Arc::clone(metrics),
        store: parts.store.clone(),
        secrets: secrets.clone(),
        identity: parts.identity.clone(),
        control: parts.settings.control.clone(),
        clock: Arc::clone(clock),
        user_config: parts.user_config.clone(),
        settings: parts.settings.host.clone(),
        background: parts.settings.background.clone(),
    })
}

fn writer_of(
    parts: &ServerParts,
    secrets: &Secrets,
    services: &Services,
    snapshot: &Arc<SnapshotCell>,
) -> ObjectWriter {
    ObjectWriter {
        store: parts.store.clone(),
        catalog: Arc::clone(&parts.catalog),
        connectors: Arc::new(tenon_connectors::connectors()),
        secrets: secrets.clone(),
        services: services.clone(),
        snapshot: Arc::clone(snapshot),
        turn: Arc::new(Semaphore::new(1)),
    }
}

fn services_of(parts: &ServerParts, host: &Arc<Host>) -> Result<Services, ServerError> {
    let services = Services::new(ServicesParts {
        store: parts.store.clone(),
        host: Arc::clone(host) as _,
        sdk: parts.sdk.clone(),
        cluster: parts.cluster.clone(),
        server: parts.presence.name.clone(),
        instance: parts.presence.instance.clone(),
        run_dir: parts.run_dir.clone(),
        services_dir: Some(parts.services_dir.clone()),
        random: Arc::clone(&parts.random),
        workers: parts.settings.workers.clone(),
        deployments: parts.settings.deployments.clone(),
    })?;
    Ok(services)
}

/// Tells how the server is, until `stop`.
async fn tell(health: Arc<ServerHealth>, condition: ConditionListener, stop: CancellationToken) {
    let mut told = None;
    let mut tick = tokio::time::interval(LOOK_EVERY);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        let now = health.condition();
        if told.as_ref() != Some(&now) {
            condition(now.0, now.1.clone());
            told = Some(now);
        }
    }
}

async fn bootstrap(users: Users, first_admin: Option<(String, String)>, stop: CancellationToken) {
    let Some((name, hash)) = first_admin else { return };
    while let Err(error) = users.bootstrap(&name, &hash).await {
        tracing::warn!(%error, "the first administrator could not be written; trying again");
        if stop
            .run_until_cancelled(tokio::time::sleep(RETRY_AFTER))
            .await
            .is_none()
        {
            return;
        }
    }
}

fn data_listener(tcp: StdTcpListener, unix_path: &Path, identity: &Identity) -> Result<DataListener, ServerError> {
    let tcp = listener("of the data address", tcp)?;
    DataListener::bind(unix_path, tcp, identity.data_acceptor()?).map_err(|source| ServerError::Socket {
        what: unix_path.display().to_string(),
        source,
    })
}

fn listener(what: &str, listener: StdTcpListener) -> Result<TcpListener, ServerError> {
    let wrong = |source| ServerError::Socket {
        what: what.to_owned(),
        source,
    };
    listener.set_nonblocking(true).map_err(wrong)?;
    TcpListener::from_std(listener).map_err(wrong)
}
