//! The load balancer: the address that clients know.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use prometheus_client::registry::Registry;
use serde::Deserialize;
use tenon_balancer::{
    Balancer, CertificateFiles, ConfigurationFollower, ConfigurationSource, Deps, Follower, MemberSource, SourceError,
};
use tenon_control::{ControlClient, ControlSettings};
use tenon_model::Role;
use tenon_protocol::control::{
    BalancerConfiguration, ConfigurationQuery, GetBalancerConfiguration, ListMembers, MembersQuery, MembersReply,
    Nothing,
};
use tokio_util::sync::CancellationToken;

use super::control_address::{Vitals, check, serve};
use super::known_servers::KnownServers;
use super::scheduler::stop_all_with;
use super::{RoleContext, load_balancer_report, presence};

/// How long a load balancer that has just started waits for a server before it counts as ready without one.
const FIRST_SERVER: Duration = Duration::from_secs(3);

/// `[limits]` of a load balancer.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Limits {
    balancer: tenon_balancer::Settings,
    control: ControlSettings,
}

/// Learns what the load balancer does from any server of the cluster.
struct Configurations(ControlClient);

#[async_trait]
impl ConfigurationSource for Configurations {
    async fn configuration(&self, after: Option<u64>) -> Result<BalancerConfiguration, SourceError> {
        let query = ConfigurationQuery { after, wait_ms: None };
        Ok(self.0.call::<GetBalancerConfiguration>(&query, &Nothing {}).await?)
    }
}

/// Learns the members of the cluster from any of its servers.
struct Servers(ControlClient, KnownServers);

#[async_trait]
impl MemberSource for Servers {
    async fn members(&self, after: Option<u64>) -> Result<MembersReply, SourceError> {
        let query = MembersQuery { after, wait_ms: None };
        let reply = self.0.call::<ListMembers>(&query, &Nothing {}).await?;
        self.1.take(&reply.members);
        Ok(reply)
    }
}

/// The certificate that the environment came with, or what was put in its place.
fn default_certificate(context: &RoleContext) -> CertificateFiles {
    let layout = context.environment.layout();
    CertificateFiles {
        certificate: layout.public_certificate(&context.settings.name),
        private_key: layout.public_key(&context.settings.name),
    }
}

/// The public sockets for HTTP and those for HTTPS.
async fn public_listeners(context: &RoleContext) -> anyhow::Result<(Vec<TcpListener>, Vec<TcpListener>)> {
    let (mut plain, mut tls) = (Vec::new(), Vec::new());
    for (name, address) in context.settings.public_sockets() {
        let socket = context.supervisor.public_socket(name, address).await?;
        if name == "https" {
            tls.push(socket);
        } else {
            plain.push(socket);
        }
    }
    Ok((plain, tls))
}

/// Relays requests until it is told to stop.
pub(super) async fn run(context: RoleContext, stop: CancellationToken) -> anyhow::Result<()> {
    let limits: Limits = context.settings.limits()?;
    let known_servers = KnownServers::of(&context);
    let addresses = known_servers.addresses();
    let client = ControlClient::new(
        &context.identity,
        Role::Server,
        addresses.clone(),
        limits.control.clone(),
    )?;
    let kept = context.environment.layout().component_run(&context.settings.name);
    let announcements = presence::Servers::of(&context, addresses, &limits.control);
    let (follower, servers) = Follower::new(
        &limits.balancer,
        Arc::new(Servers(client.clone(), known_servers)),
        kept.join("members.json"),
        context.environment.layout().sockets(),
    );
    let (configuration_follower, configuration) = ConfigurationFollower::new(
        &limits.balancer,
        Arc::new(Configurations(client.clone())),
        kept.join("configuration.json"),
    );
    let (listeners, tls_listeners) = public_listeners(&context).await?;
    let deps = Deps {
        listeners,
        server_tls: Some(context.identity.data_client_config()?),
        tls_listeners,
        default_certificate: Some(default_certificate(&context)),
        servers,
        configuration,
        acme: kept.join("acme"),
        clock: Arc::clone(&context.clock),
        random: Arc::clone(&context.random),
    };
    let balancer = Balancer::new(limits.balancer, deps)?;
    let handle = balancer.handle();
    let reported = handle.clone();
    let mut registry = Registry::default();
    handle.register(&mut registry);
    let patience_until = std::time::Instant::now() + FIRST_SERVER;
    let vitals = Vitals::new(&context, &stop, move || {
        // Without any server it still answers, so it is ready; but one that has just started first looks for them.
        let ready = handle.status().ready || std::time::Instant::now() > patience_until;
        vec![check("servers", ready, if ready { "" } else { "it looks for servers" })]
    });
    // Whoever probes is told that it stops for as long as it serves.
    let ended = CancellationToken::new();
    let control = serve(&context, Arc::clone(&vitals), registry, limits.control, ended.clone());
    let reason = Arc::clone(&vitals);
    let heartbeat = presence::keep(
        &context,
        announcements,
        Arc::new(move || reason.reason()),
        stop.child_token(),
    );
    let relaying = async {
        let relayed = balancer.run(stop.child_token()).await;
        ended.cancel();
        relayed.context("the load balancer has failed")
    };
    let ((), (), (), (), (), relayed, served) = tokio::join!(
        follower.run(ended.clone()),
        configuration_follower.run(stop.child_token()),
        load_balancer_report::keep(&context, &client, &reported, stop.child_token()),
        vitals.tell(context.clone(), stop.child_token()),
        heartbeat,
        stop_all_with(&stop, relaying),
        stop_all_with(&stop, control),
    );
    relayed.and(served)
}
