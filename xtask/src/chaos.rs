//! Things that are done to clusters under load: builds the binary and hands over to the program `chaos` of `tests/`.

use std::path::PathBuf;

use clap::Args;

use crate::run::{self, command, root};
use crate::ui;

/// What is handed over.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// Options of the program; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds what `TENON_BINARY` does not name, and runs the scenarios.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let has = |names: &[&str]| {
        let mut arguments = options.arguments.iter();
        arguments.any(|argument| names.contains(&argument.as_str()))
    };
    let binary = match std::env::var_os("TENON_BINARY") {
        Some(binary) => PathBuf::from(binary),
        None if has(&["--help", "-h", "--list"]) => PathBuf::new(),
        None => build(has(&["--release"]))?,
    };
    let mut chaos = command(
        "cargo",
        ["run", "--quiet", "--package", "tenon-tests", "--bin", "chaos", "--"],
    );
    run::run(chaos.args(&options.arguments).env("TENON_BINARY", binary))
}

fn build(is_release: bool) -> anyhow::Result<PathBuf> {
    ui::build()?;
    let mut build = command("cargo", ["build", "--package", "tenon"]);
    let profile = if is_release {
        build.arg("--release");
        "release"
    } else {
        "debug"
    };
    run::run(&mut build)?;
    Ok(root().join("target").join(profile).join("tenon"))
}
