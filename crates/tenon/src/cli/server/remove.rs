//! `tenon server remove`.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use tenon_balancer::OperatorState;
use tenon_model::DurationText;
use tenon_protocol::control::{ForgetMember, MemberPath, Nothing};

use super::super::control::{Cluster, problem_failure};
use super::super::output::Output;
use super::super::{Global, stop};
use super::drain::until_finished;
use super::state;
use super::{server_named, servers_of};
use crate::environment::settings::ComponentSettings;
use crate::environment::{Environment, Target, locks, servers};
use crate::failure::fail;
use crate::supervisor::client;
use crate::supervisor::link::Message;

/// How long the cluster may take to see that a server has stopped.
const SEEN_STOPPED: Duration = Duration::from_secs(15);

/// Takes a server out of the cluster: it gets nothing new, finishes what it has, stops, and its directory is deleted.
#[derive(Debug, Args)]
pub(in crate::cli) struct Remove {
    /// The server's name
    name: String,
    /// Also the last server, and also if no other server can be told
    #[arg(long)]
    force: bool,
    /// How long what it has may take; then it is stopped all the same
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    timeout: DurationText,
}

impl Remove {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let environment = global.target(None)?.environment;
        let began = Instant::now();
        let server = server_named(&environment, &self.name)?;
        let others = others_of(&environment, &self.name)?;
        if others.is_empty() && !self.force {
            fail!(
                InvalidInput,
                format!("{} is the last server", self.name),
                "add another one first, or say --force"
            );
        }
        let runs = locks::is_locked(&environment.layout().component_run(&self.name).join("lock"));
        let cut = if runs {
            self.drain_and_stop(global, &environment, &server)?
        } else {
            0
        };
        self.tell_cluster(&environment, others, global.output(), runs)?;
        servers::delete(&environment, &self.name)?;
        if client::is_supervised(&environment) {
            let component = self.name.clone();
            client::ask(&environment, &Message::Forget { component })?;
        }
        let output = global.output();
        if output.is_json() {
            let milliseconds = began.elapsed().as_millis();
            return output.json(&json!({ "removed": self.name, "cut_off": cut, "milliseconds": milliseconds }));
        }
        output.text(&format!(
            "Removed {} after {:.1} s",
            self.name,
            began.elapsed().as_secs_f64()
        ))
    }

    /// Lets the server finish, then stops it; how many calls it had not finished when its time was up.
    fn drain_and_stop(
        &self,
        global: &Global,
        environment: &Environment,
        server: &ComponentSettings,
    ) -> anyhow::Result<u64> {
        let output = global.output();
        let drained = || {
            let cluster = Cluster::of(global)?;
            state::set(&cluster, &self.name, OperatorState::Drain)?;
            output.note(&format!("  {:<15} gets nothing new", self.name));
            until_finished(environment, server, self.timeout.0)
        };
        let left = match drained() {
            Ok(left) => left,
            // It stops as at any other stop: it drains by itself, within its own limits.
            Err(error) if self.force => {
                output.note(&format!("  {:<15} can't be drained first: {error:#}", self.name));
                0
            }
            Err(error) => return Err(error).context("nothing was removed; --force removes it all the same"),
        };
        if left > 0 {
            output.note(&format!("  {:<15} still has {left} calls and is stopped", self.name));
        }
        let target = Target {
            environment: environment.clone(),
            component: Some(self.name.clone()),
        };
        stop::stop_component(&target, &self.name)?;
        output.note(&format!("  {:<15} stopped", self.name));
        Ok(left)
    }

    /// The other servers forget the one that is gone, and what was said of it.
    fn tell_cluster(
        &self,
        environment: &Environment,
        others: Vec<String>,
        output: Output,
        ran: bool,
    ) -> anyhow::Result<()> {
        if others.is_empty() {
            return Ok(());
        }
        let tell = || {
            let cluster = Cluster::at(environment, others)?;
            forget_member(&cluster, &self.name)?;
            state::forget(&cluster, &self.name).map(drop)
        };
        match tell() {
            Ok(()) => Ok(()),
            Err(error) if self.force || !ran => {
                output.note(&format!("  the cluster was not told: {error:#}"));
                Ok(())
            }
            Err(error) => Err(error).context("its directory was left; repeat the command, or say --force"),
        }
    }
}

fn forget_member(cluster: &Cluster, name: &str) -> anyhow::Result<()> {
    let path = MemberPath { name: name.to_owned() };
    let deadline = Instant::now() + SEEN_STOPPED;
    loop {
        match cluster.try_call::<ForgetMember>(&path, &Nothing {})? {
            Ok(_) => return Ok(()),
            // It has stopped, and the cluster has not seen that yet.
            Err(problem) if problem.status == 409 && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(100));
            }
            Err(problem) => return Err(problem_failure(&problem).into()),
        }
    }
}

/// The control addresses of all other servers of the environment.
fn others_of(environment: &Environment, name: &str) -> anyhow::Result<Vec<String>> {
    let servers = servers_of(environment)?;
    let others = servers.into_iter().filter(|server| server.name != name);
    Ok(others
        .filter_map(|server| server.addresses.control)
        .map(|address| address.to_string())
        .collect())
}
