//! What each thread counts. Counting costs an addition to memory that no other thread writes.

use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of the histogram of durations, in microseconds.
pub(crate) const BUCKETS_MICROS: [u64; 12] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_000_000, 10_000_000,
];

/// The counters of one thread.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) closed: AtomicU64,
    /// Requests by the first digit of their status.
    pub(crate) classes: [AtomicU64; 6],
    pub(crate) durations: [AtomicU64; BUCKETS_MICROS.len() + 1],
    pub(crate) duration_sum_micros: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) unknown: AtomicU64,
    pub(crate) not_sent: AtomicU64,
    pub(crate) connects: AtomicU64,
    pub(crate) upgrades: AtomicU64,
    pub(crate) cut: AtomicU64,
    pub(crate) http2_requests: AtomicU64,
    pub(crate) tls_handshakes: AtomicU64,
    pub(crate) tls_failures: AtomicU64,
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    /// Counts a request that was answered.
    pub(crate) fn answered(&self, status: u16, micros: u64) {
        count(&self.classes[usize::from(status / 100).min(5)]);
        let bucket = BUCKETS_MICROS.iter().position(|bound| micros <= *bound);
        count(&self.durations[bucket.unwrap_or(BUCKETS_MICROS.len())]);
        self.duration_sum_micros.fetch_add(micros, Ordering::Relaxed);
    }
}
