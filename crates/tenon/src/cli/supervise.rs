//! `tenon supervise`: the supervisor's process.

use std::path::PathBuf;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::environment::Environment;
use crate::lifecycle::Signals;
use crate::supervisor::process::Launcher;
use crate::{supervisor, telemetry};

/// Supervises an environment in a session of its own.
#[derive(Debug, Args)]
pub(super) struct Supervise {
    /// The environment
    directory: PathBuf,
}

impl Supervise {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        // Fails only for a process that leads a group already, which is as good.
        let _ = rustix::process::setsid();
        let environment = Environment::open(&self.directory)?;
        run(environment, false)
    }
}

/// Supervises an environment in this process. With `foreground` components print to this process's output.
pub(super) fn run(environment: Environment, foreground: bool) -> anyhow::Result<()> {
    let log = environment.layout().supervisor_log();
    telemetry::init(&environment.settings().log, &log, foreground)?;
    let launcher = Launcher::new(foreground)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let stop = CancellationToken::new();
        let signals = Signals::listen()?;
        let supervising = supervisor::run(environment, launcher, stop.clone());
        // Stopping has deadlines of its own; a second signal must not leave components behind.
        tokio::select! {
            result = supervising => result,
            () = signals.forward(stop) => Ok(()),
        }
    })
}
