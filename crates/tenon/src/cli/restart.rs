//! `tenon restart`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use tenon_model::DurationText;

use super::{Global, wait};
use crate::environment::Target;
use crate::failure::{Exit, Failure, fail};
use crate::supervisor::client;
use crate::supervisor::link::{ComponentReport, Message};

/// How the supervisor is called among the components that were restarted.
const SUPERVISOR: &str = "supervisor";

/// Restarts a component, or an environment: its supervisor, then all components, one after the other, each when the one before
/// is ready. What is started is the binary that this command was given with.
#[derive(Debug, Args)]
pub(super) struct Restart {
    /// An environment or one of its components
    path: Option<PathBuf>,
    /// How long each component may take until it is ready again
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    timeout: DurationText,
}

impl Restart {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let target = global.target(self.path.as_deref())?;
        let output = global.output();
        if !client::is_supervised(&target.environment) {
            fail!(
                NotRunning,
                format!("{} does not run", target.environment.layout().root().display()),
                "start it with `tenon start`"
            );
        }
        let began = Instant::now();
        let mut restarted = Vec::new();
        if target.component.is_none() {
            // First, so that it starts the components with the binary that this command was given with.
            client::renew_supervisor(&target.environment)?;
            output.note(&format!("  {SUPERVISOR:<15} restarted"));
            restarted.push(SUPERVISOR.to_owned());
        }
        for report in client::reports(&target.environment)? {
            let meant = target.component.as_ref().is_none_or(|name| *name == report.name);
            if !meant {
                continue;
            }
            if !report.wanted {
                if target.component.is_some() {
                    let name = &report.name;
                    fail!(
                        NotRunning,
                        format!("{name} does not run"),
                        "start it with `tenon start`"
                    );
                }
                continue;
            }
            restart(&target, &report, self.timeout.0).map_err(|error| stopped_at(&error, &report.name, &restarted))?;
            output.note(&format!("  {:<15} restarted", report.name));
            restarted.push(report.name);
        }
        if output.is_json() {
            output.json(&json!({ "restarted": restarted, "milliseconds": began.elapsed().as_millis() }))
        } else {
            output.text(&format!("Restarted after {:.1} s", began.elapsed().as_secs_f64()))
        }
    }
}

/// The roll ends where a component does not come back: what was not restarted yet goes on as before, and serves.
fn stopped_at(error: &anyhow::Error, name: &str, restarted: &[String]) -> anyhow::Error {
    let exit = error
        .downcast_ref::<Failure>()
        .map_or(Exit::Failed, |failure| failure.exit);
    let before = if restarted.is_empty() {
        "nothing".to_owned()
    } else {
        restarted.join(", ")
    };
    let what = format!("{name} was restarted and is not ready: {error:#}");
    Failure::new(
        exit,
        what,
        format!("restarted before it: {before}; the others were left as they are"),
    )
    .into()
}

/// Restarts one component and waits until its new process is ready.
fn restart(target: &Target, before: &ComponentReport, timeout: Duration) -> anyhow::Result<()> {
    let component = before.name.clone();
    client::ask(&target.environment, &Message::Restart { component })?;
    let target = Target {
        environment: target.environment.clone(),
        component: Some(before.name.clone()),
    };
    wait::until(&target, timeout, None, &|report| {
        report.is_as_meant() && report.pid != before.pid
    })
}
