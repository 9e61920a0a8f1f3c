//! The dashboard: the web interface, and the way from it to the servers.

use std::sync::Arc;

use anyhow::Context as _;
use serde::Deserialize;
use tenon_control::{Addresses, ControlSettings};
use tenon_dashboard::{ControlServers, Dashboard};
use tokio_util::sync::CancellationToken;

use super::scheduler::stop_all_with;
use super::{RoleContext, presence};
use crate::failure::fail;

/// `[limits]` of a dashboard.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Limits {
    dashboard: tenon_dashboard::Settings,
    control: ControlSettings,
}

/// Serves the dashboard until it is told to stop.
pub(super) async fn run(context: RoleContext, stop: CancellationToken) -> anyhow::Result<()> {
    let limits: Limits = context.settings.limits()?;
    let Some(address) = context.settings.addresses.http else {
        fail!(Settings, "the dashboard has no address", "set addresses.http");
    };
    let addresses = Addresses::new(context.settings.servers.iter().map(ToString::to_string).collect());
    let announcements = presence::Servers::of(&context, &limits.control)?;
    let servers = ControlServers::new(context.identity.clone(), addresses, limits.control, &limits.dashboard);
    let dashboard = Dashboard::new(
        limits.dashboard,
        Arc::new(servers),
        Arc::clone(&context.clock),
        Arc::clone(&context.random),
    );
    let listener = context.supervisor.public_socket("http", address).await?;
    // It takes work whether a server answers or not: what it shows then is that none does.
    context.supervisor.set_condition(true, "");
    let heartbeat = presence::keep(&context, announcements, Arc::new(String::new), stop.child_token());
    let serving = stop_all_with(&stop, async {
        let served = dashboard.serve(listener, stop.clone()).await;
        served.context("the dashboard has failed")
    });
    let ((), served) = tokio::join!(heartbeat, serving);
    served
}
