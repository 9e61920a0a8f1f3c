//! The servers of the cluster, for components that reach it through them: those of the settings at first, then those that the
//! cluster names, which are kept for the next start.

use std::path::PathBuf;
use std::time::Duration;

use tenon_control::{Addresses, ControlClient};
use tenon_model::{Member, MemberState, Role};
use tenon_protocol::control::{ListMembers, MembersQuery, Nothing};
use tokio_util::sync::CancellationToken;

use super::RoleContext;

/// How long to wait after the members could not be learnt.
const RETRY: Duration = Duration::from_secs(1);

/// How long the servers may take to tell of a change; more than they wait for one.
const ANSWER: Duration = Duration::from_secs(30);

/// Where the servers are, as it changes. A clone is the same.
#[derive(Debug, Clone)]
pub(super) struct KnownServers {
    addresses: Addresses,
    file: PathBuf,
    /// What the settings say, and what this environment has: tried when the cluster names nobody.
    fixed: Vec<String>,
}

impl KnownServers {
    /// The servers that the component may reach, as far as it can know before it has asked.
    pub(super) fn of(context: &RoleContext) -> Self {
        let layout = context.environment.layout();
        let file = layout.component_run(&context.settings.name).join("servers.json");
        let here = context.environment.components().unwrap_or_default();
        let here = here
            .into_iter()
            .filter(|component| component.role == Role::Server)
            .filter_map(|component| component.addresses.control);
        let mut fixed: Vec<String> = Vec::new();
        for address in context.settings.servers.iter().copied().chain(here) {
            let address = address.to_string();
            if !fixed.contains(&address) {
                fixed.push(address);
            }
        }
        let kept = std::fs::read(&file).ok();
        let kept: Vec<String> = kept
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let known = Self {
            addresses: Addresses::default(),
            file,
            fixed,
        };
        known.addresses.set(known.with_fixed(kept));
        known
    }

    /// Their control addresses, in the order in which they are to be tried.
    pub(super) fn addresses(&self) -> Addresses {
        self.addresses.clone()
    }

    /// Takes what the cluster says of its members.
    pub(super) fn take(&self, members: &[Member]) {
        let mut servers: Vec<&Member> = members.iter().filter(|member| member.role == Role::Server).collect();
        servers.sort_by_key(|member| matches!(member.state, MemberState::Dead | MemberState::Stopped));
        let named: Vec<String> = servers
            .into_iter()
            .filter_map(|member| member.control_address.clone())
            .collect();
        let next = self.with_fixed(named.clone());
        if *self.addresses.get() == next {
            return;
        }
        if let Err(error) = self.keep(&named) {
            tracing::warn!(%error, "the addresses of servers are not kept; a restart begins with older ones");
        }
        self.addresses.set(next);
    }

    /// Follows the members of the cluster until `stop`.
    pub(super) async fn follow(self, client: ControlClient, stop: CancellationToken) {
        let mut after = None;
        loop {
            let query = MembersQuery { after, wait_ms: None };
            let asked = client.call_within::<ListMembers>(&query, &Nothing {}, ANSWER);
            let Some(asked) = stop.run_until_cancelled(asked).await else {
                return;
            };
            let unchanged = match asked {
                Ok(reply) => {
                    self.take(&reply.members);
                    after.replace(reply.cursor) == Some(reply.cursor)
                }
                Err(error) => {
                    tracing::debug!(%error, "the members of the cluster could not be learnt");
                    after = None;
                    true
                }
            };
            // An answer that says nothing new must not make this loop spin.
            if unchanged && stop.run_until_cancelled(tokio::time::sleep(RETRY)).await.is_none() {
                return;
            }
        }
    }

    fn with_fixed(&self, mut addresses: Vec<String>) -> Vec<String> {
        let missing: Vec<String> = self
            .fixed
            .iter()
            .filter(|address| !addresses.contains(address))
            .cloned()
            .collect();
        addresses.extend(missing);
        addresses
    }

    /// Writes them so that a crash leaves the old ones or the new ones.
    fn keep(&self, addresses: &[String]) -> std::io::Result<()> {
        let next = self.file.with_extension("next");
        std::fs::write(&next, serde_json::to_vec(addresses)?)?;
        std::fs::rename(&next, &self.file)
    }
}
