//! The project's own commands: `cargo xtask <command>`. What a newcomer, CI and a release do is in here and nowhere else.

mod bench;
mod chaos;
mod generate;
mod install;
mod quickstart;
mod run;
mod security;
mod test;
mod tidy;
mod ui;
mod zato_api;

use clap::{Parser, Subcommand};

/// Commands of the Tenon repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Builds everything, creates and starts a demo cluster, and prints a line to try it with.
    Quickstart(quickstart::Options),
    /// Installs what the tests need, builds everything and runs every test there is.
    Test(test::Options),
    /// Measures Tenon beside its peers in one run and prints ratios.
    Bench(bench::Options),
    /// Does things to clusters while requests run (kill -9, restarts, deployments, a full disk), and prints how every request ended.
    Chaos(chaos::Options),
    /// Prints what ambiguous requests and slow clients come to at our load balancer, HAProxy and nginx.
    Security,
    /// Checks what the compiler can't: layers, purposes of dependencies, names, module docs.
    Tidy,
    /// Writes generated files anew; with `--check`, fails if they are not fresh.
    Generate {
        /// Only compare.
        #[arg(long)]
        check: bool,
    },
    /// Builds the dashboard's web interface.
    Ui,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Quickstart(options) => quickstart::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Chaos(options) => chaos::run(&options),
        Command::Security => security::run(),
        Command::Tidy => tidy::run(),
        Command::Generate { check } => generate::run(check),
        Command::Ui => ui::build(),
    }
}
