//! `tenon stop`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::Global;
use super::output::Output;
use crate::environment::desired::{self, Desired};
use crate::environment::locks;
use crate::environment::{Environment, Target};
use crate::failure::fail;
use crate::supervisor::client;
use crate::supervisor::link::Message;

/// Stops an environment or a component. A component that was stopped by name stays so until it is started by name.
#[derive(Debug, Args)]
pub(super) struct Stop {
    /// An environment or one of its components
    path: Option<PathBuf>,
}

impl Stop {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let target = global.target(self.path.as_deref())?;
        let output = global.output();
        let began = Instant::now();
        match &target.component {
            Some(name) => stop_component(&target, name)?,
            None => stop_environment(&target, output)?,
        }
        if output.is_json() {
            output.json(&json!({ "stopped": true, "milliseconds": began.elapsed().as_millis() }))
        } else {
            output.text(&format!("Stopped after {:.1} s", began.elapsed().as_secs_f64()))
        }
    }
}

fn stop_environment(target: &Target, output: Output) -> anyhow::Result<()> {
    let environment = &target.environment;
    let before = client::reports(environment)?;
    if !client::is_supervised(environment) && before.iter().all(|report| report.pid.is_none()) {
        // So that a component that is starting a supervisor at this moment hears of it.
        desired::set_environment(environment.layout(), Desired::Stopped)?;
        fail!(
            NotRunning,
            format!("{} does not run", environment.layout().root().display()),
            ""
        );
    }
    let mut known: Vec<String> = before
        .into_iter()
        .filter(|report| report.pid.is_some())
        .map(|report| report.name)
        .collect();
    client::stop_all(environment, &mut |running| {
        known.retain(|name| {
            let runs = running.contains(name);
            if !runs {
                output.note(&format!("  {name:<15} stopped"));
            }
            runs
        });
    })
}

/// Stops one component and waits until it has ended.
pub(super) fn stop_component(target: &Target, name: &str) -> anyhow::Result<()> {
    let environment = &target.environment;
    let layout = environment.layout();
    let lock = layout.component_run(name).join("lock");
    if !client::is_supervised(environment) && !locks::is_locked(&lock) {
        desired::set_component(layout, name, Desired::Stopped)?;
        fail!(NotRunning, format!("{name} does not run"), "");
    }
    if desired::of_component(layout, name) == Desired::Stopped && !locks::is_locked(&lock) {
        fail!(NotRunning, format!("{name} does not run"), "");
    }
    if client::is_supervised(environment) {
        let components = vec![name.to_owned()];
        client::ask(environment, &Message::Stop { components })?;
    } else {
        // Its process sees this when it looks for a supervisor, and stops by itself.
        desired::set_component(layout, name, Desired::Stopped)?;
    }
    let limit = environment.settings().supervisor.stop_timeout.0 + Duration::from_secs(10);
    let deadline = Instant::now() + limit;
    while locks::is_locked(&lock) || is_draining(environment, name)? {
        if Instant::now() > deadline {
            fail!(
                TimedOut,
                format!("{name} does not stop"),
                format!("see {}", layout.component_log(name).display())
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Whether the supervisor has yet to notice that the process has ended.
fn is_draining(environment: &Environment, name: &str) -> anyhow::Result<bool> {
    let reports = client::reports(environment)?;
    Ok(reports.iter().any(|report| report.name == name && report.pid.is_some()))
}
