//! `tenon supervise`: the supervisor's process.

use std::path::PathBuf;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::environment::Environment;
use crate::lifecycle::Signals;
use crate::supervisor::After;
use crate::supervisor::process::Launcher;
use crate::{supervisor, telemetry};

/// Supervises an environment in a session of its own.
#[derive(Debug, Args)]
pub(super) struct Supervise {
    /// The environment
    directory: PathBuf,
    /// Stay in the session of whoever started this, and have components print to this process's output
    #[arg(long)]
    foreground: bool,
}

impl Supervise {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        if !self.foreground {
            // Fails only for a process that leads a group already, which is as good.
            let _ = rustix::process::setsid();
        }
        let environment = Environment::open(&self.directory)?;
        run(environment, self.foreground)
    }
}

/// Supervises an environment in this process. With `foreground` components print to this process's output.
pub(super) fn run(environment: Environment, foreground: bool) -> anyhow::Result<()> {
    let log = environment.layout().supervisor_log();
    telemetry::init(&environment.settings().log, &log, foreground)?;
    let launcher = Launcher::new(foreground)?;
    let root = environment.layout().root().to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let supervised = runtime.block_on(async {
        let stop = CancellationToken::new();
        let signals = Signals::listen()?;
        let supervising = supervisor::run(environment, launcher.clone(), stop.clone());
        // Stopping has deadlines of its own; a second signal must not leave components behind.
        tokio::select! {
            result = supervising => result,
            () = signals.forward(stop) => Ok(After::Nothing),
        }
    });
    drop(runtime);
    match supervised? {
        After::Nothing => Ok(()),
        After::Renewed(program) => {
            // What is lost here is made good by the components: they start another supervisor.
            let error = launcher.become_supervisor(&program, &root);
            tracing::error!(error = format!("{error:#}"), "the supervisor ends");
            Err(error)
        }
    }
}
