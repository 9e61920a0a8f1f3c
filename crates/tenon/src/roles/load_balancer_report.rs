//! A load balancer says once a second how it is, to any server: what `tenon balancer status` and the dashboard show.

use std::time::Duration;

use tenon_balancer::Handle;
use tenon_control::ControlClient;
use tenon_protocol::control::{BalancerPath, ReportBalancer};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::RoleContext;

const EVERY: Duration = Duration::from_secs(1);

/// Reports until `stop`. A report that nobody hears is not repeated: the next one says more.
pub(super) async fn keep(context: &RoleContext, client: &ControlClient, handle: &Handle, stop: CancellationToken) {
    let name = &context.settings.name;
    let path = BalancerPath { name: name.clone() };
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        let report = handle.report(name, &context.instance, context.clock.now());
        let told = client.call_within::<ReportBalancer>(&path, &report, EVERY);
        if let Some(Err(error)) = stop.run_until_cancelled(told).await {
            tracing::debug!(%error, "the cluster does not hear how the load balancer is");
        }
    }
}
