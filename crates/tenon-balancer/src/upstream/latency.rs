//! How long a server takes, as percentiles of the last minute.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counts durations in classes, each about a fifth longer than the one before, in two halves of a minute.
#[derive(Debug)]
pub(crate) struct Latency {
    halves: [[AtomicU32; CLASSES]; 2],
    current: AtomicUsize,
    turned_at: Mutex<Option<Instant>>,
}

/// Classes in one doubling.
const STEPS: u64 = 4;
/// Up to about a quarter of an hour.
const CLASSES: usize = 108;
const HALF: Duration = Duration::from_secs(30);

impl Default for Latency {
    fn default() -> Self {
        Self {
            halves: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU32::new(0))),
            current: AtomicUsize::new(0),
            turned_at: Mutex::default(),
        }
    }
}

impl Latency {
    /// Notes one duration.
    pub(crate) fn note(&self, micros: u64) {
        let half = &self.halves[self.current.load(Ordering::Relaxed) & 1];
        half[class_of(micros)].fetch_add(1, Ordering::Relaxed);
    }

    /// Forgets what is older than a minute; to be called every second or so.
    pub(super) fn turn(&self, now: Instant) {
        let mut turned_at = self.turned_at.lock().unwrap_or_else(PoisonError::into_inner);
        let since = *turned_at.get_or_insert(now);
        if now.saturating_duration_since(since) < HALF {
            return;
        }
        *turned_at = Some(now);
        let next = (self.current.load(Ordering::Relaxed) + 1) & 1;
        for class in &self.halves[next] {
            class.store(0, Ordering::Relaxed);
        }
        self.current.store(next, Ordering::Relaxed);
    }

    /// How long that many in a hundred took at most; none if there were no requests.
    pub(crate) fn percentile(&self, percent: u64) -> Option<Duration> {
        let count = |class: usize| -> u64 {
            let halves = self.halves.iter();
            halves.map(|half| u64::from(half[class].load(Ordering::Relaxed))).sum()
        };
        let total: u64 = (0..CLASSES).map(count).sum();
        let wanted = (total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        (0..CLASSES)
            .find(|class| {
                seen += count(*class);
                seen >= wanted
            })
            .map(|class| Duration::from_micros(bound_of(class)))
    }
}

fn class_of(micros: u64) -> usize {
    let micros = micros.max(STEPS);
    let doublings = u64::from(micros.ilog2());
    // The bits behind the highest say which quarter of the doubling it is in.
    let step = (micros >> (doublings - 2)) & (STEPS - 1);
    usize::try_from((doublings - 2) * STEPS + step).map_or(CLASSES - 1, |class| class.min(CLASSES - 1))
}

/// The longest duration of a class.
fn bound_of(class: usize) -> u64 {
    let (doubling, step) = (class as u64 / STEPS, class as u64 % STEPS);
    ((STEPS + step + 1) << doubling) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_near_and_old_ones_are_forgotten() {
        let latency = Latency::default();
        assert_eq!(latency.percentile(50), None);
        for micros in 1..=1000 {
            latency.note(micros);
        }
        for (percent, micros) in [(50, 500), (99, 990), (100, 1000)] {
            let found = latency.percentile(percent).unwrap().as_micros();
            assert!((micros..=micros * 5 / 4).contains(&found), "{percent}: {found}");
        }
        for class in 0..CLASSES {
            assert_eq!(class_of(bound_of(class)), class);
        }
        assert_eq!(class_of(u64::MAX), CLASSES - 1);
        let start = Instant::now();
        for seconds in [0, 30, 60] {
            assert!(latency.percentile(50).is_some(), "after {seconds} seconds");
            latency.turn(start + Duration::from_secs(seconds));
        }
        assert_eq!(latency.percentile(50), None);
    }
}
