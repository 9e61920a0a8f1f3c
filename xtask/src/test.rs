//! Every test there is, in the order in which failures are cheapest.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use crate::run::{self, command, root, say};
use crate::{generate, install, tidy, ui};

/// Which tests.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only tests whose name contains this; skips everything that is not a Rust test.
    filter: Option<String>,
}

/// Installs what is missing, builds, checks and tests.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let started = Instant::now();
    install::for_tests()?;
    ui::build()?;
    run::run(&mut command("cargo", ["build", "--package", "tenon"]))?;
    if let Some(filter) = &options.filter {
        return run::run(rust_tests().arg(filter));
    }
    run::run(&mut command("cargo", ["fmt", "--all", "--check"]))?;
    tidy::run()?;
    generate::run(true)?;
    ui::check()?;
    run::run(&mut command(
        "cargo",
        [
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "--deny",
            "warnings",
        ],
    ))?;
    run::run(&mut command(
        "python3",
        ["-m", "unittest", "discover", "-s", "sdk/python/tests"],
    ))?;
    run::run(&mut rust_tests())?;
    say(&format!(
        "every test passed, in {:.0} s",
        started.elapsed().as_secs_f32()
    ));
    Ok(())
}

fn rust_tests() -> std::process::Command {
    let mut tests = command("cargo", ["test", "--workspace", "--quiet", "--"]);
    tests.env("TENON_BINARY", binary());
    tests
}

/// The binary that end-to-end tests start.
fn binary() -> PathBuf {
    root().join("target/debug/tenon")
}
