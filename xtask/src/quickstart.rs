//! From a fresh clone to a cluster that answers.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::Context;
use clap::Args;

use crate::run::{self, command, root, say};
use crate::ui;

/// How the demo cluster is made.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where the environment goes.
    #[arg(default_value = "demo")]
    folder: PathBuf,
    /// How many servers it has.
    #[arg(long, default_value_t = 1)]
    servers: u32,
}

/// Builds the interface and the release binary, then creates and starts an environment.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    ui::build()?;
    run::run(&mut command("cargo", ["build", "--release", "--package", "tenon"]))?;
    let tenon = root().join("target/release/tenon");
    let folder = root().join(&options.folder);
    let started = Instant::now();
    let mut create = Command::new(&tenon);
    create.args(["quickstart", "create", "--skip-if-exists", "--start", "--servers"]);
    run::run(create.arg(options.servers.to_string()).arg(&folder))?;
    say(&format!(
        "\nFrom nothing to a running cluster in {:.2} s. Try it:",
        started.elapsed().as_secs_f32()
    ));
    let port = http_port(&folder)?;
    say(&format!("\n  curl http://127.0.0.1:{port}/demo/hello?name=World\n"));
    say(&format!(
        "Look at it:    {} status {}",
        tenon.display(),
        folder.display()
    ));
    say(&format!("Stop it:       {} stop {}", tenon.display(), folder.display()));
    Ok(())
}

fn http_port(folder: &std::path::Path) -> anyhow::Result<u16> {
    let path = folder.join("load-balancer/component.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let settings: toml::Table = text.parse()?;
    let address = settings.get("http").and_then(|http| http.as_str()).or_else(|| {
        settings
            .get("addresses")
            .and_then(|addresses| addresses.get("http"))
            .and_then(|http| http.as_str())
    });
    let port = address
        .and_then(|address| address.rsplit(':').next())
        .and_then(|port| port.parse().ok());
    Ok(port.unwrap_or(11223))
}
