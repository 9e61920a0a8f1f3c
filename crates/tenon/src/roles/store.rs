//! The store: the one process that has the SQLite files open, for servers and scheduler.

use std::sync::Arc;

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use serde::Deserialize;
use tenon_control::ControlSettings;
use tenon_store::{Engine, SocketSettings, SqliteEngine, SqliteSettings, Store, StoreServer};
use tokio_util::sync::CancellationToken;

use super::control_address::{Vitals, serve};
use super::scheduler::stop_all_with;
use super::{RoleContext, presence};

/// `[limits]` of a store.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Limits {
    sqlite: SqliteSettings,
    socket: SocketSettings,
}

/// Serves the store until it is told to stop, or until the files fail for good.
pub(super) async fn run(context: RoleContext, stop: CancellationToken) -> anyhow::Result<()> {
    let limits: Limits = context.settings.limits()?;
    let layout = context.environment.layout().clone();
    let (directory, clock) = (layout.data(), Arc::clone(&context.clock));
    let open = move || SqliteEngine::open(&directory, limits.sqlite, clock);
    let engine = tokio::task::spawn_blocking(open)
        .await
        .context("opening the store was cut off")?
        .context("the store can't be opened")?;
    let engine: Arc<dyn Engine> = Arc::new(engine);
    let server = StoreServer::bind(&layout.store_socket(), limits.socket, Arc::clone(&engine))
        .context("the store's socket can't be opened")?;
    context.supervisor.set_condition(true, "");
    let store = Store::new(engine, Arc::clone(&context.random));
    let end = stop.child_token();
    let heartbeat = presence::keep(&context, store, Arc::new(String::new), end.clone());
    let vitals = Vitals::new(&context, &stop, Vec::new);
    let probes = serve(
        &context,
        vitals,
        Registry::default(),
        ControlSettings::default(),
        end.clone(),
    );
    let stopping = stop.clone();
    let serving = async {
        let served = server.run(stop).await.context("the store has failed");
        end.cancel();
        served
    };
    let ((), served, probed) = tokio::join!(heartbeat, serving, stop_all_with(&stopping, probes));
    served.and(probed)
}
