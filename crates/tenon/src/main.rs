//! Tenon: one binary that plays every role of a cluster and is its command line.

mod catalog;
mod cli;
mod environment;
mod failure;
mod lifecycle;
mod roles;
mod supervisor;
mod telemetry;

use std::process::ExitCode;

fn main() -> ExitCode {
    let command_line = cli::parse();
    match cli::run(command_line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::report(&error),
    }
}
