//! `tenon server drain`.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use tenon_balancer::OperatorState;
use tenon_model::DurationText;

use super::super::Global;
use super::super::control::Cluster;
use super::state;
use super::{server_named, servers_of};
use crate::environment::Environment;
use crate::environment::settings::ComponentSettings;
use crate::failure::fail;

/// How often to look whether a server has finished.
const LOOK: Duration = Duration::from_millis(100);

/// Lets a server finish what it has: it gets no new requests, jobs and background calls, says at `/tenon/ready` that it is not
/// ready, and refuses nothing. It stays so, also when it is restarted, until it is taken back.
#[derive(Debug, Args)]
pub(in crate::cli) struct Drain {
    /// The server's name
    name: String,
    /// Take it back: it gets requests again
    #[arg(long, conflicts_with = "maintenance")]
    back: bool,
    /// Say that it is being worked at, rather than that it drains
    #[arg(long)]
    maintenance: bool,
    /// Also the last server that gets requests: the cluster then answers none
    #[arg(long)]
    force: bool,
    /// Wait so long until what it has is finished; without it, return at once
    #[arg(long, value_name = "DURATION", conflicts_with = "back")]
    timeout: Option<DurationText>,
}

impl Drain {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let cluster = Cluster::of(global)?;
        let environment = cluster.environment().clone();
        let server = server_named(&environment, &self.name)?;
        let state = match (self.back, self.maintenance) {
            (true, _) => OperatorState::In,
            (_, true) => OperatorState::Maintenance,
            _ => OperatorState::Drain,
        };
        if state != OperatorState::In && !self.force {
            refuse_the_last(&cluster, &environment, &self.name)?;
        }
        let change = state::set(&cluster, &self.name, state)?;
        let left = match &self.timeout {
            Some(timeout) => Some(until_finished(&environment, &server, timeout.0)?),
            None => None,
        };
        let output = global.output();
        if output.is_json() {
            output.json(&json!({
                "server": self.name, "state": state, "changed": change.is_news,
                "load_balancers_unheard": change.unheard, "in_flight": left,
            }))?;
        } else {
            let name = &self.name;
            output.text(&match state {
                OperatorState::In => format!("{name} gets requests again"),
                _ => format!("{name} gets nothing new; take it back with `tenon server drain {name} --back`"),
            })?;
            for balancer in &change.unheard {
                output.text(&format!("{balancer} has not said yet that it goes by that"))?;
            }
        }
        match left {
            Some(left) if left > 0 => fail!(
                TimedOut,
                format!("{} still has {left} calls", self.name),
                "it goes on finishing them"
            ),
            _ => Ok(()),
        }
    }
}

/// Whoever takes the last server out should know it.
pub(super) fn refuse_the_last(cluster: &Cluster, environment: &Environment, name: &str) -> anyhow::Result<()> {
    let aside = state::set_aside(cluster)?;
    let servers = servers_of(environment)?;
    let others = servers
        .iter()
        .any(|server| server.name != name && !aside.contains(&server.name));
    if others {
        return Ok(());
    }
    fail!(
        InvalidInput,
        format!("{name} is the last server that gets requests"),
        "take another one back or add one first, or say --force"
    )
}

/// Waits until a server has finished the calls that it has; how many are left when time is up.
pub(super) fn until_finished(
    environment: &Environment,
    server: &ComponentSettings,
    timeout: Duration,
) -> anyhow::Result<u64> {
    let Some(address) = server.addresses.control else {
        return Ok(0);
    };
    let deadline = Instant::now() + timeout;
    let one = Cluster::at(environment, vec![address.to_string()])?;
    loop {
        let health = one.health()?;
        if health.in_flight == 0 || Instant::now() >= deadline {
            return Ok(health.in_flight);
        }
        std::thread::sleep(LOOK);
    }
}
