//! Percentiles of durations, corrected for what a slow answer kept from being measured.

use std::time::Duration;

/// Durations of requests, exact: a run has few enough of them to keep them all.
#[derive(Debug, Default, Clone)]
pub struct Latencies {
    micros: Vec<u64>,
    sorted: bool,
}

impl Latencies {
    /// Adds a duration that was measured from when the request was due, whether or not the client was free then.
    pub fn add(&mut self, duration: Duration) {
        self.micros
            .push(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
        self.sorted = false;
    }

    /// Adds a duration that a client measured which waits for each answer before it asks again, with what it would have
    /// measured had it asked at every `interval` meanwhile.
    pub fn add_corrected(&mut self, duration: Duration, interval: Duration) {
        self.add(duration);
        if interval.is_zero() {
            return;
        }
        let mut missed = duration.saturating_sub(interval);
        while missed >= interval {
            self.add(missed);
            missed -= interval;
        }
    }

    /// The duration that this many of a thousand requests do not exceed; nothing without requests.
    pub fn per_mille(&mut self, per_mille: usize) -> Option<Duration> {
        if !self.sorted {
            self.micros.sort_unstable();
            self.sorted = true;
        }
        let rank = (self.micros.len() * per_mille).div_ceil(1000);
        let micros = self.micros.get(rank.saturating_sub(1))?;
        Some(Duration::from_micros(*micros))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.micros.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.micros.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn percentiles_are_those_of_the_durations_given() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.per_mille(990), None);
        for number in (1..=100).rev() {
            latencies.add(millis(number));
        }
        assert_eq!(latencies.per_mille(500), Some(millis(50)));
        assert_eq!(latencies.per_mille(990), Some(millis(99)));
        assert_eq!(latencies.per_mille(1000), Some(millis(100)));
    }

    #[test]
    fn a_pause_counts_for_all_that_was_not_asked_meanwhile() {
        let mut latencies = Latencies::default();
        for _ in 0..90 {
            latencies.add_corrected(millis(1), millis(10));
        }
        latencies.add_corrected(millis(100), millis(10));
        assert_eq!(latencies.len(), 100);
        assert_eq!(latencies.per_mille(990), Some(millis(90)));
        assert_eq!(latencies.per_mille(900), Some(millis(1)));
    }
}
