//! The servers that requests go to: how each one is, and which is next. No I/O.
//!
//! The [`Directory`] has a row for each server with what the cluster, the operator, our own checks (`health`) and failed
//! requests (`ejection`) say of it; whenever one of these changes, it publishes a [`Table`] of whom requests may go to.
//! Choosing from a table shares nothing but the servers' counts of requests with other threads.

mod directory;
mod ejection;
mod latency;
mod table;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

pub(crate) use directory::{Directory, Surveyed};
pub(crate) use table::{Pick, Table};

use latency::Latency;

/// Where a server takes requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    /// A Unix socket on this host.
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
    /// A server on another host, over mutual TLS.
    Tls {
        /// `host:port`.
        address: String,
        /// The name that its certificate has.
        name: String,
    },
}

/// What the cluster says of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerState {
    /// It takes requests, if our own check agrees.
    Ready,
    /// It takes none now, unless no server is ready.
    NotReady,
    /// It gets nothing new.
    Draining,
}

/// A server as the follower, or a test, describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Its name in the cluster.
    pub name: String,
    /// Where it takes requests.
    pub endpoint: Endpoint,
    /// Its part of the requests, relative to the others; 0 counts as 1. What the operator says of it goes before.
    pub weight: u32,
    /// What the cluster says of it.
    pub state: ServerState,
}

/// All servers of the cluster, replaced as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstreams {
    /// The servers, in the order of the round.
    pub servers: Vec<Server>,
}

/// What our own checks found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// Not asked yet.
    Unknown,
    /// It says that it is ready.
    Ready,
    /// It answers, but says that it is not ready.
    NotReady,
    /// It failed to answer in time, but not often enough to count as dead.
    Suspect,
    /// It can't be connected to, or did not answer several times.
    Dead,
}

/// One server while it is in the list.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Never used twice, so that a pool can't mix up two servers of one name.
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) endpoint: Endpoint,
    pub(crate) in_flight: AtomicUsize,
    pub(crate) requests: AtomicU64,
    pub(crate) failures: AtomicU64,
    /// Its answers by the first digit of their status.
    pub(crate) classes: [AtomicU64; 6],
    /// How long it took to the heads of its answers.
    pub(crate) latency: Latency,
    /// Told when the server has fallen silent: whoever waits for an answer of it should not. A server that only refuses
    /// connections is not silent: it may be finishing what it has.
    pub(crate) died: Notify,
    silent: AtomicBool,
    /// Told when upgraded connections to it are to end.
    pub(crate) expelled: Notify,
    /// Who waits for room at any server.
    room: Arc<Room>,
}

/// Requests that wait because all servers have as many as they may.
#[derive(Debug, Default)]
pub(crate) struct Room {
    pub(crate) waiting: AtomicUsize,
    pub(crate) freed: Notify,
}

impl Upstream {
    /// Whether it was found to answer nothing any more, not even checks.
    pub(crate) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Acquire)
    }

    /// Notes an answer and how long the server took to its head.
    pub(crate) fn answered(&self, status: u16, micros: u64) {
        self.classes[usize::from(status / 100).min(5)].fetch_add(1, Ordering::Relaxed);
        self.latency.note(micros);
    }

    fn answers(&self) -> u64 {
        self.classes.iter().map(|class| class.load(Ordering::Relaxed)).sum()
    }
}

/// A request's place at a server, while it lives.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Upstream>);

impl InFlight {
    /// A place at a server that has at most `max`.
    fn take(upstream: &Arc<Upstream>, max: usize) -> Option<Self> {
        let one_more = |count: usize| (count < max).then_some(count + 1);
        upstream
            .in_flight
            .fetch_update(Ordering::SeqCst, Ordering::Relaxed, one_more)
            .ok()?;
        upstream.requests.fetch_add(1, Ordering::Relaxed);
        Some(Self(Arc::clone(upstream)))
    }

    pub(crate) fn upstream(&self) -> &Arc<Upstream> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
        if self.0.room.waiting.load(Ordering::SeqCst) > 0 {
            self.0.room.freed.notify_one();
        }
    }
}
