//! `tenon component`: the process of one component.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::Global;
use crate::environment::settings::ComponentSettings;
use crate::environment::{Target, locks};
use crate::failure::fail;
use crate::{roles, telemetry};

/// How long a component that ends may still hold the lock when the next one starts.
const LOCK_WAIT: Duration = Duration::from_secs(2);

/// Runs one component in this process.
#[derive(Debug, Args)]
pub(super) struct Component {
    /// The component's directory
    path: PathBuf,
    /// Override a setting, such as addresses.data=127.0.0.1:17010
    #[arg(long = "set", value_name = "SETTING=VALUE")]
    set: Vec<String>,
}

impl Component {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let Target {
            environment,
            component: Some(name),
        } = global.target(Some(&self.path))?
        else {
            fail!(
                NotAnEnvironment,
                format!("{} is not a component", self.path.display()),
                "give a component's directory, such as DIR/server1"
            );
        };
        let layout = environment.layout();
        let settings = ComponentSettings::read(&layout.component_file(&name), &name, &self.set)?;
        let log = settings
            .log
            .clone()
            .unwrap_or_else(|| environment.settings().log.clone());
        let run = layout.component_run(&name);
        let lock = lock(&run, &name)?;
        locks::write_pid(&run.join("pid"))?;
        layout.prepare_sockets()?;
        telemetry::init(&log, &layout.component_log(&name), false)?;
        let result = roles::run(environment, settings);
        if let Err(error) = &result {
            tracing::error!(error = format!("{error:#}"), "{name} ends with an error");
        }
        locks::remove_if_there(&run.join("pid")).context("the pid file stays behind")?;
        drop(lock);
        result
    }
}

fn lock(run: &Path, name: &str) -> anyhow::Result<locks::Lock> {
    if let Some(lock) = locks::lock_within(&run.join("lock"), LOCK_WAIT)? {
        return Ok(lock);
    }
    let pid = locks::read_pid(&run.join("pid")).map_or_else(String::new, |pid| format!(" as process {pid}"));
    fail!(AlreadyRunning, format!("{name} runs already{pid}"), "")
}
