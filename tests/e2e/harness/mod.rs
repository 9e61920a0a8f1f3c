//! What every test needs: a cluster, an HTTP client, a record of what was acknowledged.

mod client;
mod cluster;
mod ledger;
mod ports;
mod postgres;
mod session;
mod stub;

pub(crate) use client::{Answer, Client, assert_problem};
pub(crate) use cluster::{Cluster, ClusterOptions, PATIENCE, is_alive, send_signal};
pub(crate) use ledger::Ledger;
pub(crate) use postgres::Postgres;
pub(crate) use session::Session;
pub(crate) use stub::Stub;

use std::time::{Duration, Instant};

/// Asks again and again until the answer is what is waited for; panics with `what` when the time is over.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, timeout: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < timeout, "waited {timeout:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
