//! Measurements beside peers: one interleaved run, ratios and CPU per operation. The scenarios are programs in `bench/`.

use anyhow::bail;
use clap::Args;

use crate::run::{self, command, root, say};
use crate::{install, ui};

/// What is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The scenarios (balancer, channels, deploy, neighbours, rest, services, start); all if none is named.
    scenarios: Vec<String>,
    /// How often each target is measured.
    #[arg(long)]
    rounds: Option<u32>,
    /// More for the scenario's program, such as `-- --rows c32`; its `--help` says what there is.
    #[arg(last = true)]
    arguments: Vec<String>,
}

const SCENARIOS: [&str; 7] = [
    "balancer",
    "channels",
    "deploy",
    "neighbours",
    "rest",
    "services",
    "start",
];

/// Application servers that the scenarios `rest` and `services` measure beside ours.
const PYTHON_PEERS: [&str; 3] = ["granian", "fastapi", "uvicorn[standard]"];

/// Builds what is measured, installs the peers, and runs the scenarios one after the other.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    if let Some(unknown) = options
        .scenarios
        .iter()
        .find(|name| !SCENARIOS.contains(&name.as_str()))
    {
        bail!("there is no scenario '{unknown}'; there are {}", SCENARIOS.join(", "));
    }
    let wanted = |name: &str| options.scenarios.is_empty() || options.scenarios.iter().any(|wanted| wanted == name);
    install::for_bench()?;
    if wanted("balancer") {
        run::run(&mut command(
            "cargo",
            ["build", "--release", "--package", "tenon-balancer", "--examples"],
        ))?;
    }
    if wanted("rest") || wanted("services") {
        install_python_peers()?;
    }
    if ["channels", "deploy", "neighbours", "rest", "services", "start"]
        .into_iter()
        .any(wanted)
    {
        ui::build()?;
        run::run(&mut command("cargo", ["build", "--release", "--package", "tenon"]))?;
    }
    if wanted("services") {
        run::run(&mut command(
            "cargo",
            ["build", "--release", "--package", "tenon-sdk", "--examples"],
        ))?;
    }
    for scenario in SCENARIOS.into_iter().filter(|name| wanted(name)) {
        let mut program = command("python3", [format!("bench/{scenario}/run")]);
        if let Some(rounds) = options.rounds {
            program.args(["--rounds", &rounds.to_string()]);
        }
        program.args(&options.arguments);
        run::run(&mut program)?;
    }
    say("\nTrust CPU per request and ratios within one table; rates and latencies follow what else the machine does.");
    Ok(())
}

fn install_python_peers() -> anyhow::Result<()> {
    let folder = root().join("target/bench-venv");
    if folder.join("bin/granian").is_file() && folder.join("bin/uvicorn").is_file() {
        return Ok(());
    }
    run::run(command("python3", ["-m", "venv"]).arg(&folder))?;
    run::run(command(&folder.join("bin/pip").to_string_lossy(), ["install", "--quiet"]).args(PYTHON_PEERS))
}
