//! A load balancer says how it is, to any server: what `tenon balancer status` and the dashboard show.

use std::time::Duration;

use tenon_balancer::Handle;
use tenon_control::ControlClient;
use tenon_protocol::control::{BalancerPath, ReportBalancer};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::RoleContext;

const EVERY: Duration = Duration::from_secs(1);

/// What changes together is told together.
const AFTER_CHANGE: Duration = Duration::from_millis(50);

/// Reports once a second, and when servers changed or what is said of them, until `stop`. A report that nobody hears is not repeated: the next one says more.
pub(super) async fn keep(context: &RoleContext, client: &ControlClient, handle: &Handle, stop: CancellationToken) {
    let name = &context.settings.name;
    let path = BalancerPath { name: name.clone() };
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut changes = handle.changes();
    while stop.run_until_cancelled(due(&mut tick, &mut changes)).await.is_some() {
        let report = handle.report(name, &context.instance, context.clock.now());
        let told = client.call_within::<ReportBalancer>(&path, &report, EVERY);
        if let Some(Err(error)) = stop.run_until_cancelled(told).await {
            tracing::debug!(%error, "the cluster does not hear how the load balancer is");
        }
    }
}

/// Waits until there is something to tell.
async fn due(tick: &mut Interval, changes: &mut watch::Receiver<u64>) {
    tokio::select! {
        _ = tick.tick() => {}
        Ok(()) = changes.changed() => {
            tokio::time::sleep(AFTER_CHANGE).await;
            changes.mark_unchanged();
        }
    }
}
