//! What a component does: a file per role, each with `run`, which returns when the component has stopped.

mod control_address;
mod dashboard;
mod known_servers;
mod load_balancer;
mod load_balancer_report;
mod presence;
mod scheduler;
mod server;
mod store;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tenon_control::Identity;
use tenon_model::{Clock, InstanceId, Random, Role, SystemClock, SystemRandom};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::environment::Environment;
use crate::environment::settings::ComponentSettings;
use crate::failure::fail;
use crate::lifecycle::Signals;
use crate::supervisor::attachment::{self, Attachment};
use crate::supervisor::process::Launcher;

/// How long before the supervisor would kill it a component ends by itself, so that the log says why.
const HARD_STOP_MARGIN: Duration = Duration::from_secs(2);

/// How often a component reads its certificate again.
const RELOAD_EVERY: Duration = Duration::from_hours(1);

/// What every role gets.
#[derive(Debug, Clone)]
pub(crate) struct RoleContext {
    /// The environment that the component belongs to.
    pub(crate) environment: Environment,
    /// The component's settings.
    pub(crate) settings: ComponentSettings,
    /// Who the component is to others: its certificate.
    pub(crate) identity: Identity,
    /// The link to the supervisor: tells it how the component is, and gives public sockets.
    pub(crate) supervisor: Attachment,
    /// This life of the process.
    pub(crate) instance: InstanceId,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Randomness.
    pub(crate) random: Arc<dyn Random>,
}

/// Plays the component's role until it is told to stop.
pub(crate) fn run(environment: Environment, settings: ComponentSettings) -> anyhow::Result<()> {
    // Workers and other components need the rest. On two cores, with one thread in place of two, a call of a small service
    // costs a server 0.84 of the CPU at the same rate: fewer wake-ups between threads.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = settings.threads.unwrap_or(cores / 2).max(1);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(settings.name.clone())
        .enable_all()
        .build()
        .context("no runtime can be started")?;
    let result = runtime.block_on(live(environment, settings));
    // What did not stop by itself is left behind: the process ends now.
    runtime.shutdown_background();
    result
}

async fn live(environment: Environment, settings: ComponentSettings) -> anyhow::Result<()> {
    let name = settings.name.clone();
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(component = name, pid = std::process::id(), version, "{name} starts");
    let stop = CancellationToken::new();
    let signals = Signals::listen()?;
    let stop_timeout = environment.settings().supervisor.stop_timeout.0;
    let deadline = stop_timeout.saturating_sub(HARD_STOP_MARGIN).max(stop_timeout / 2);
    let tasks = TaskTracker::new();
    let launcher = Launcher::new(false)?;
    let (supervisor, keeping) = attachment::attach(&environment, &name, launcher, tasks.clone(), stop.clone());
    let keeper = tasks.spawn(keeping);
    let ca = environment.layout().ca();
    let identity = Identity::load(&ca.join("ca.pem"), &ca.join(&name))?;
    tasks.spawn(reload(identity.clone(), stop.clone()));
    let context = RoleContext {
        environment,
        settings,
        identity,
        supervisor,
        instance: InstanceId::generate(&SystemRandom),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
    };
    let playing = play(context, stop.clone());
    let result = tokio::select! {
        result = playing => result,
        () = signals.guard(stop.clone(), deadline) => {
            fail!(Failed, format!("{name} did not stop within {} s", deadline.as_secs()), "")
        }
    };
    keeper.abort();
    tracing::info!(component = name, "{name} ends");
    result
}

/// Reads the certificate again now and then: the supervisor renews it.
async fn reload(identity: Identity, stop: CancellationToken) {
    while stop
        .run_until_cancelled(tokio::time::sleep(RELOAD_EVERY))
        .await
        .is_some()
    {
        if let Err(error) = identity.reload() {
            tracing::warn!(%error, "the certificate can't be read again; the one in use stays");
        }
    }
}

async fn play(context: RoleContext, stop: CancellationToken) -> anyhow::Result<()> {
    match context.settings.role {
        Role::Store => store::run(context, stop).await,
        Role::Server => server::run(context, stop).await,
        Role::Scheduler => scheduler::run(context, stop).await,
        Role::Dashboard => Box::pin(dashboard::run(context, stop)).await,
        Role::LoadBalancer => Box::pin(load_balancer::run(context, stop)).await,
        role @ Role::Operator => fail!(
            NotAnEnvironment,
            format!("this binary can't play the role '{role}'"),
            "use one that was built with it"
        ),
    }
}
