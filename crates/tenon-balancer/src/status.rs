//! How the load balancer is, for its control address and the dashboard.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::balancer::Handle;
use crate::counters::Counters;
use crate::kinds::OperatorState;
use crate::upstream::{Endpoint, Health, ServerState, Surveyed};

/// The load balancer at one glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Client connections open now.
    pub connections: usize,
    /// Requests answered since the start, whoever answered them.
    pub requests: u64,
    /// Requests refused before a server saw them.
    pub refused: u64,
    /// Attempts beyond the first.
    pub retries: u64,
    /// Requests that a server got and did not answer.
    pub unknown: u64,
    /// Requests that no server could take in time.
    pub not_sent: u64,
    /// Whether a server is ready.
    pub ready: bool,
    /// Each server.
    pub servers: Vec<ServerStatus>,
}

/// A server as the load balancer sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Its name.
    pub name: String,
    /// Where it is reached.
    pub endpoint: Endpoint,
    /// Its part of the requests, relative to the others.
    pub weight: u32,
    /// What the cluster says of it.
    pub state: ServerState,
    /// What the operator says of it.
    pub wanted: OperatorState,
    /// What our own checks found.
    pub health: Health,
    /// How long it gets nothing still because it failed too many requests; none if it is not so.
    pub ejected_for: Option<Duration>,
    /// Requests that it has now.
    pub in_flight: usize,
    /// Requests that it got.
    pub requests: u64,
    /// Attempts that it failed.
    pub failures: u64,
    /// Half of its answers of the last minute took at most so long to their heads; none if there were none.
    pub latency_p50: Option<Duration>,
    /// Of a hundred answers of the last minute, 99 took at most so long to their heads.
    pub latency_p99: Option<Duration>,
}

impl ServerStatus {
    fn of(server: &Surveyed) -> Self {
        let upstream = &server.upstream;
        Self {
            name: upstream.name.clone(),
            endpoint: upstream.endpoint.clone(),
            weight: server.weight,
            state: server.state,
            wanted: server.wanted,
            health: server.health,
            ejected_for: server.ejected_for,
            in_flight: upstream.in_flight.load(Ordering::Relaxed),
            requests: upstream.requests.load(Ordering::Relaxed),
            failures: upstream.failures.load(Ordering::Relaxed),
            latency_p50: upstream.latency.percentile(50),
            latency_p99: upstream.latency.percentile(99),
        }
    }
}

/// The sum of one counter over all threads.
pub(crate) fn sum(handle: &Handle, counter: impl Fn(&Counters) -> &AtomicU64) -> u64 {
    handle
        .counters
        .iter()
        .map(|counters| counter(counters).load(Ordering::Relaxed))
        .sum()
}

impl Status {
    pub(crate) fn of(handle: &Handle) -> Self {
        let servers: Vec<ServerStatus> = handle
            .shared
            .directory
            .survey(Instant::now())
            .iter()
            .map(ServerStatus::of)
            .collect();
        Self {
            connections: handle.shared.open.load(Ordering::Relaxed),
            requests: (0..6)
                .map(|class| sum(handle, |counters| &counters.classes[class]))
                .sum(),
            refused: sum(handle, |counters| &counters.refused),
            retries: sum(handle, |counters| &counters.retries),
            unknown: sum(handle, |counters| &counters.unknown),
            not_sent: sum(handle, |counters| &counters.not_sent),
            ready: handle.shared.directory.table().is_ready(),
            servers,
        }
    }
}
