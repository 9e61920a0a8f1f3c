//! The scheduler: decides when jobs are due, while it holds the lease.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use serde::Deserialize;
use tenon_control::ControlSettings;
use tenon_scheduler::{Scheduler, SchedulerDeps};
use tenon_store::{ClientSettings, Store};
use tokio_util::sync::CancellationToken;

use super::RoleContext;
use super::control_address::{Vitals, check, serve};
use super::presence;

/// `[limits]` of a scheduler.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Limits {
    scheduler: tenon_scheduler::Settings,
    store: ClientSettings,
    control: ControlSettings,
}

/// Plans runs until it is told to stop.
pub(super) async fn run(context: RoleContext, stop: CancellationToken) -> anyhow::Result<()> {
    let limits: Limits = context.settings.limits()?;
    let store = Store::connect(
        &context.environment.layout().store_socket(),
        limits.store,
        &context.settings.name,
        context.instance.clone(),
        Arc::clone(&context.random),
    );
    let deps = SchedulerDeps {
        store: store.clone(),
        clock: Arc::clone(&context.clock),
        random: Arc::clone(&context.random),
        instance: context.instance.clone(),
    };
    let scheduler = Scheduler::new(deps, limits.scheduler);
    let handle = scheduler.handle();
    let vitals = Vitals::new(&context, &stop, move || {
        let status = handle.status();
        vec![check("plan", status.error.is_empty(), status.error)]
    });
    let reason = Arc::clone(&vitals);
    let control = serve(
        &context,
        Arc::clone(&vitals),
        Registry::default(),
        limits.control,
        stop.child_token(),
    );
    let heartbeat = presence::keep(&context, store, Arc::new(move || reason.reason()), stop.child_token());
    let ((), (), (), served) = tokio::join!(
        scheduler.run(stop.child_token()),
        vitals.tell(context.clone(), stop.child_token()),
        heartbeat,
        stop_all_with(&stop, control),
    );
    served
}

/// Ends everything else when this fails.
pub(super) async fn stop_all_with(
    stop: &CancellationToken,
    part: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let result = part.await;
    if result.is_err() {
        stop.cancel();
    }
    result
}
