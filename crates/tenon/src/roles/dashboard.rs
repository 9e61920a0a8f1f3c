//! The dashboard: the web interface, and the way from it to the servers.

use std::sync::Arc;

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use serde::Deserialize;
use tenon_control::{ControlClient, ControlSettings};
use tenon_dashboard::{ControlServers, Dashboard};
use tenon_model::Role;
use tokio_util::sync::CancellationToken;

use super::control_address::{Vitals, serve};
use super::known_servers::KnownServers;
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
    let known = KnownServers::of(&context);
    let client = ControlClient::new(
        &context.identity,
        Role::Server,
        known.addresses(),
        limits.control.clone(),
    )?;
    let announcements = presence::Servers::of(&context, known.addresses(), &limits.control);
    let control = limits.control.clone();
    let servers = ControlServers::new(
        context.identity.clone(),
        known.addresses(),
        limits.control,
        &limits.dashboard,
    );
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
    // Whoever probes is told that it stops for as long as it serves.
    let ended = CancellationToken::new();
    let vitals = Vitals::new(&context, &stop, Vec::new);
    let probes = serve(&context, vitals, Registry::default(), control, ended.clone());
    let serving = stop_all_with(&stop, async {
        let served = dashboard.serve(listener, stop.clone()).await;
        ended.cancel();
        served.context("the dashboard has failed")
    });
    let ((), (), served, probed) = tokio::join!(
        known.follow(client, stop.child_token()),
        heartbeat,
        serving,
        stop_all_with(&stop, probes),
    );
    served.and(probed)
}
