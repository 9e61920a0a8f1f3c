//! The binary as a user meets it: environments, the supervisor with real processes, the command line.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "in tests these are how a failure shows"
)]

mod command_line;
mod create;
mod harness;
mod supervise;
