//! `tenon wait`, and the waiting of other commands.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use tenon_model::DurationText;

use super::Global;
use super::output::Output;
use super::start::Progress;
use crate::environment::Target;
use crate::failure::fail;
use crate::supervisor::client;
use crate::supervisor::link::ComponentReport;

/// How often to look.
const LOOK: Duration = Duration::from_millis(25);

/// Waits until an environment, or a component, is ready.
#[derive(Debug, Args)]
pub(super) struct Wait {
    /// An environment or one of its components
    path: Option<PathBuf>,
    /// How long to wait: seconds, or a duration such as 2m
    #[arg(long, value_name = "DURATION", default_value = "60", value_parser = seconds_or_duration)]
    timeout: Duration,
}

impl Wait {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let target = global.target(self.path.as_deref())?;
        let began = Instant::now();
        until_ready(&target, self.timeout, Some(global.output()))?;
        let output = global.output();
        if output.is_json() {
            output.json(&json!({ "ready": true, "milliseconds": began.elapsed().as_millis() }))
        } else {
            output.text("Ready")
        }
    }
}

fn seconds_or_duration(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => text.parse::<DurationText>().map(|duration| duration.0),
    }
}

/// Waits until the target is ready: the component, or every component of the environment that is to run.
pub(super) fn until_ready(target: &Target, timeout: Duration, output: Option<Output>) -> anyhow::Result<()> {
    until(target, timeout, output, &ComponentReport::is_as_meant)
}

/// Waits until this holds for the component, or for every component of the environment that is to run.
pub(super) fn until(
    target: &Target,
    timeout: Duration,
    output: Option<Output>,
    holds: &dyn Fn(&ComponentReport) -> bool,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + timeout;
    let mut progress = Progress::new(output);
    loop {
        let mut reports = client::reports(&target.environment)?;
        match &target.component {
            Some(name) => reports.retain(|report| &report.name == name),
            None => reports.retain(|report| report.wanted),
        }
        for report in reports.iter().filter(|report| holds(report)) {
            progress.ready(&report.name);
        }
        if !reports.is_empty() && reports.iter().all(holds) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return give_up(target, timeout, &reports, holds);
        }
        std::thread::sleep(LOOK);
    }
}

fn give_up(
    target: &Target,
    timeout: Duration,
    reports: &[ComponentReport],
    holds: &dyn Fn(&ComponentReport) -> bool,
) -> anyhow::Result<()> {
    let waiting: Vec<String> = reports
        .iter()
        .filter(|report| !holds(report))
        .map(|report| match report.reason.as_str() {
            "" => format!("{} is {}", report.name, report.state),
            reason => format!("{} is {} ({reason})", report.name, report.state),
        })
        .collect();
    let what = if waiting.is_empty() {
        format!("{} does not run", target.path().display())
    } else {
        waiting.join(", ")
    };
    fail!(
        TimedOut,
        format!("not ready after {} s: {what}", timeout.as_secs()),
        "see `tenon logs`"
    )
}
