//! The binary as a user meets it: environments, the supervisor with real processes, the command line.

mod command_line;
mod create;
mod harness;
mod supervise;
