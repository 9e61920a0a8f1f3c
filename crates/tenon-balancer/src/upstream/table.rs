//! Whom requests may go to, and who is next.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{InFlight, Upstream};
use crate::kinds::Algorithm;

/// Whom requests may go to, made anew whenever a server changes.
#[derive(Debug)]
pub(crate) struct Table {
    /// Ready servers, as often as their weight says.
    pub(super) round: Vec<Arc<Upstream>>,
    /// Ready servers, each once, with its weight.
    pub(super) ready: Vec<(Arc<Upstream>, u32)>,
    /// Servers that are alive, for when none is ready.
    pub(super) alive: Vec<Arc<Upstream>>,
    /// Every server that keeps connections.
    pub(crate) pooled: Vec<u64>,
    pub(super) algorithm: Algorithm,
    /// Requests that one server has at most.
    pub(super) per_server_max: usize,
    /// Requests that wait for room at most, and how long.
    pub(crate) queue_max: usize,
    pub(crate) queue_timeout: Duration,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            round: Vec::new(),
            ready: Vec::new(),
            alive: Vec::new(),
            pooled: Vec::new(),
            algorithm: Algorithm::RoundRobin,
            per_server_max: usize::MAX,
            queue_max: 0,
            queue_timeout: Duration::ZERO,
        }
    }
}

/// Who gets a request.
#[derive(Debug)]
pub(crate) enum Pick {
    /// This one, where the request has a place now.
    Server(InFlight),
    /// Every server that could has as many as it may.
    Full,
    /// There is none that was not tried yet.
    Nobody,
}

/// Servers that are compared for one request at most.
const COMPARED_MAX: usize = 16;

impl Table {
    /// Whether a server is ready.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether there is a server that requests may go to.
    pub(crate) fn has_any(&self) -> bool {
        !self.ready.is_empty() || !self.alive.is_empty()
    }

    /// The next server that was not tried yet; `turn` is whose turn it is, which each thread counts for itself.
    pub(crate) fn pick(&self, turn: &AtomicUsize, tried: &[u64]) -> Pick {
        let start = turn.fetch_add(1, Ordering::Relaxed);
        let of_ready = match self.algorithm {
            Algorithm::RoundRobin => self.next_of(&self.round, start, tried),
            Algorithm::LeastInFlight => self.least_of_ready(start, tried),
        };
        match of_ready {
            Pick::Nobody => self.next_of(&self.alive, start, tried),
            picked => picked,
        }
    }

    fn next_of(&self, group: &[Arc<Upstream>], start: usize, tried: &[u64]) -> Pick {
        let mut full = false;
        for step in 0..group.len() {
            let upstream = &group[start.wrapping_add(step) % group.len()];
            if tried.contains(&upstream.id) {
                continue;
            }
            match InFlight::take(upstream, self.per_server_max) {
                Some(place) => return Pick::Server(place),
                None => full = true,
            }
        }
        if full { Pick::Full } else { Pick::Nobody }
    }

    /// The server that has the fewest requests for its weight; of equal ones the next in turn.
    fn least_of_ready(&self, start: usize, tried: &[u64]) -> Pick {
        let ready = &self.ready;
        let candidates = (0..ready.len().min(COMPARED_MAX))
            .map(|step| &ready[start.wrapping_add(step) % ready.len()])
            .filter(|(upstream, _)| !tried.contains(&upstream.id));
        let load = |(upstream, weight): &(Arc<Upstream>, u32)| {
            // One more than there are, so that of idle servers the heavier one comes first.
            (upstream.in_flight.load(Ordering::Relaxed) as u64 + 1) * 1_000_000 / u64::from(*weight)
        };
        let best = candidates.min_by_key(|candidate| load(candidate));
        match best.map(|(upstream, _)| InFlight::take(upstream, self.per_server_max)) {
            Some(Some(place)) => Pick::Server(place),
            // Another one may have room, as weights and limits are different things.
            _ => self.next_of(&self.round, start, tried),
        }
    }
}

/// A round in which each server comes as often as its weight says, spread as evenly as possible.
pub(super) fn weighted(servers: &[(Arc<Upstream>, u32)]) -> Vec<Arc<Upstream>> {
    let divisor = servers
        .iter()
        .fold(0, |divisor, (_, weight)| gcd(divisor, *weight))
        .max(1);
    let weights: Vec<i64> = servers.iter().map(|(_, weight)| i64::from(weight / divisor)).collect();
    let total: i64 = weights.iter().sum();
    let mut credits = vec![0_i64; servers.len()];
    (0..total)
        .filter_map(|_| {
            for (credit, weight) in credits.iter_mut().zip(&weights) {
                *credit += weight;
            }
            let best = (0..credits.len()).rev().max_by_key(|index| credits[*index])?;
            credits[best] -= total;
            Some(Arc::clone(&servers[best].0))
        })
        .collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
