//! Replacing workers that are old, or have grown, before they do harm: the next one is up before the last call is taken from
//! them, and what they run they finish.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::time::{Duration, Instant};

use super::keeper::end_retired;
use super::pool::Inner;
use super::process;
use super::settings::WorkerSettings;
use super::worker::Worker;

/// Spreads consecutive numbers evenly: the golden ratio's fraction, as a part of 2^16.
const SPREAD: u64 = 40_503;

/// How long a worker may live.
#[derive(Debug)]
pub(crate) struct Life {
    /// When it began.
    pub(crate) started: Instant,
    /// 0 for no limit.
    calls_max: u64,
    ends_at: Option<Instant>,
    calls: AtomicU64,
    /// Set when it is to go as soon as another one is up.
    ending: AtomicBool,
}

impl Life {
    /// The life of the pool's `number`th worker, which began at `started`.
    pub(crate) fn new(settings: &WorkerSettings, number: u64, started: Instant) -> Self {
        let lifetime = settings.lifetime.0;
        let millis = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        Self {
            started,
            calls_max: spread(settings.calls_max, settings.recycle_jitter_percent, number),
            ends_at: (!lifetime.is_zero())
                .then(|| Duration::from_millis(spread(millis, settings.recycle_jitter_percent, number)))
                .and_then(|lifetime| started.checked_add(lifetime)),
            calls: AtomicU64::new(0),
            ending: AtomicBool::new(false),
        }
    }

    /// Counts a call.
    pub(crate) fn count(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it only goes on until another worker is up.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// Why it is over, if it is.
    fn over(&self, now: Instant) -> Option<String> {
        let calls = self.calls.load(Ordering::Relaxed);
        if self.calls_max > 0 && calls >= self.calls_max {
            return Some(format!("it has run {calls} calls"));
        }
        self.ends_at
            .filter(|end| now >= *end)
            .map(|_| "it is as old as it may be".to_owned())
    }
}

/// A limit of which each worker has its own: off by some percent at most, and never 0 if the limit is not.
fn spread(limit: u64, percent: u32, number: u64) -> u64 {
    let part = number.wrapping_mul(SPREAD) % (1 << 16);
    let half = u128::from(limit) * u128::from(percent.min(100)) / 100;
    let offset = (2 * half * u128::from(part)) >> 16;
    u64::try_from(u128::from(limit) - half + offset)
        .unwrap_or(u64::MAX)
        .max(limit.min(1))
}

/// Chooses the next worker that has to go, and kills those that use far too much memory.
pub(crate) fn choose(inner: &Inner, now: Instant) {
    let settings = &inner.shared.settings;
    let workers = inner.workers.load();
    let mut grown: Option<(u64, &Arc<Worker>)> = None;
    for worker in workers.iter().filter(|_| settings.memory_bytes_max > 0) {
        // What is shared counts in full here; whether that makes a difference is looked at only where it may.
        if process::memory_bytes(worker.pid) <= settings.memory_bytes_max {
            continue;
        }
        let size = process::proportional_memory_bytes(worker.pid);
        if is_far_above(size, settings) {
            let limit = settings.memory_bytes_max;
            worker.kill(format!(
                "it used {size} bytes of memory, far more than its limit of {limit}"
            ));
        } else if size > settings.memory_bytes_max && grown.is_none_or(|(largest, _)| size > largest) {
            grown = Some((size, worker));
        }
    }
    // One at a time, so that the others are warm.
    if workers
        .iter()
        .any(|worker| !worker.is_accepting() || worker.life.is_ending())
    {
        return;
    }
    let of_size = grown.map(|(size, worker)| (worker, format!("it uses {size} bytes of memory")));
    let of_age = || workers.iter().find_map(|worker| Some((worker, worker.life.over(now)?)));
    if let Some((worker, why)) = of_size.or_else(of_age) {
        tracing::info!(worker = %worker.name, "the worker is replaced: {why}");
        worker.life.ending.store(true, Ordering::SeqCst);
    }
}

fn is_far_above(size: u64, settings: &WorkerSettings) -> bool {
    let limit = settings.memory_bytes_max / 100 * settings.memory_kill_percent;
    limit > 0 && size > limit
}

/// Lets workers go that have been replaced.
pub(crate) fn retire_replaced(inner: &Arc<Inner>) {
    let workers = inner.workers.load();
    let staying = workers
        .iter()
        .filter(|worker| worker.is_accepting() && !worker.life.is_ending());
    if staying.count() < inner.shared.settings.worker_count() {
        return;
    }
    for worker in workers
        .iter()
        .filter(|worker| worker.is_accepting() && worker.life.is_ending())
    {
        worker.retire(&inner.shared);
        inner.shared.tasks.spawn(end(inner.clone(), worker.clone()));
    }
}

/// Waits for the last call, however long it may take: each has a deadline, and one that does not end is another's business.
async fn end(inner: Arc<Inner>, worker: Arc<Worker>) {
    while worker.in_flight() > 0 && !worker.kill.is_cancelled() && !inner.ended.is_cancelled() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let patience = inner.shared.settings.drain_timeout.0;
    end_retired(inner, worker, patience, 0).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_spread_around_the_setting() {
        let limits: Vec<u64> = (0..1000).map(|number| spread(10_000, 10, number)).collect();
        assert!(limits.iter().all(|limit| (9_000..=11_000).contains(limit)));
        assert!(limits.iter().any(|limit| *limit < 9_300) && limits.iter().any(|limit| *limit > 10_700));
        assert_eq!(spread(0, 10, 7), 0);
        assert_eq!(spread(1, 10, 7), 1);
        assert_eq!(spread(5_000, 0, 7), 5_000);
        assert!(spread(u64::MAX, 100, 7) > 0);
    }
}
