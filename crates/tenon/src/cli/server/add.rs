//! `tenon server add`.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;
use tenon_model::{DurationText, SystemClock};

use super::super::output::or_dash;
use super::super::{Global, wait};
use crate::environment::servers;
use crate::environment::settings::ComponentSettings;
use crate::environment::{Environment, Target};
use crate::failure::fail;
use crate::supervisor::client;
use crate::supervisor::link::Message;

/// Adds servers that are like those that there are: same Python, same limits.
#[derive(Debug, Args)]
pub(in crate::cli) struct Add {
    /// The server's name; without it, serverN with the lowest number that is free
    name: Option<String>,
    /// How many servers
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "name",
          value_parser = clap::value_parser!(u16).range(1..=49))]
    count: u16,
    /// The Python for services; that of the other servers without it
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// How long each server may take until it is ready
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    timeout: DurationText,
}

impl Add {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        let environment = global.target(None)?.environment;
        let output = global.output();
        let began = Instant::now();
        if let Some(name) = &self.name
            && environment.layout().component_file(name).is_file()
        {
            // Said twice, it is done once; also after a try that was cut off.
            let server = super::server_named(&environment, name)?;
            let started = self.start(global, &environment, std::slice::from_ref(&server))?;
            return show(global, &[server], false, started, began);
        }
        let new = servers::add(
            &environment,
            self.name.as_deref(),
            self.count,
            self.python.as_deref(),
            &SystemClock,
        )?;
        for server in &new {
            output.note(&format!("  {:<15} added", server.name));
        }
        let started = self.start(global, &environment, &new)?;
        show(global, &new, true, started, began)
    }

    /// Starts the servers and waits for them, if the environment runs; whether it does.
    fn start(&self, global: &Global, environment: &Environment, new: &[ComponentSettings]) -> anyhow::Result<bool> {
        if !client::is_supervised(environment) {
            return Ok(false);
        }
        let components = new.iter().map(|server| server.name.clone()).collect();
        client::ask(environment, &Message::Start { components })?;
        for server in new {
            let target = Target {
                environment: environment.clone(),
                component: Some(server.name.clone()),
            };
            if let Err(error) = wait::until_ready(&target, self.timeout.0, Some(global.output())) {
                fail!(
                    TimedOut,
                    format!("{} was added and is not ready: {error:#}", server.name),
                    format!("it is tried on; take it out with `tenon server remove {}`", server.name)
                );
            }
        }
        Ok(true)
    }
}

fn show(
    global: &Global,
    servers: &[ComponentSettings],
    is_new: bool,
    started: bool,
    began: Instant,
) -> anyhow::Result<()> {
    let output = global.output();
    if output.is_json() {
        let servers: Vec<_> = servers
            .iter()
            .map(|server| {
                json!({
                    "name": server.name,
                    "address": server.address(),
                    "control_address": server.addresses.control,
                })
            })
            .collect();
        let milliseconds = began.elapsed().as_millis();
        return output
            .json(&json!({ "servers": servers, "added": is_new, "ready": started, "milliseconds": milliseconds }));
    }
    let names: Vec<String> = servers
        .iter()
        .map(|server| format!("{} ({})", server.name, or_dash(server.address())))
        .collect();
    let verb = if is_new { "Added" } else { "There already:" };
    let after = if started {
        format!("ready after {:.1} s", began.elapsed().as_secs_f64())
    } else {
        "they start with the environment".to_owned()
    };
    output.text(&format!("{verb} {}; {after}", names.join(", ")))
}
