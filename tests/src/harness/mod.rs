//! What every test needs: a cluster, an HTTP client, a record of what was acknowledged.
//!
//! Whatever goes wrong in here panics: it is the end of the test.
#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the end of a test is a panic, and its output is for a person"
)]

mod client;
mod cluster;
mod ledger;
mod ports;
mod postgres;
mod session;
mod stub;
mod workers;

pub use client::{Answer, Client, assert_problem};
pub use cluster::{Cluster, ClusterOptions, PATIENCE, binary, is_alive, send_signal};
pub use ledger::Ledger;
pub use postgres::Postgres;
pub use session::Session;
pub use stub::Stub;
pub use workers::workers_of;

use std::time::{Duration, Instant};

/// Asks again and again until the answer is what is waited for; panics with `what` when the time is over.
#[track_caller]
pub fn wait_for<T>(what: &str, timeout: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < timeout, "waited {timeout:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
