//! Rate limits by the generic cell rate algorithm: what a token bucket does, with one instant of time per key.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A limit: `requests` in each `per` in the long run, `burst` at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Nanoseconds in which one request is earned.
    interval: u64,
    burst: u64,
}

/// How a limit stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Whether the request is within the limit.
    pub(crate) is_within: bool,
    /// How many more may come now.
    pub(crate) remaining: u64,
    /// When the limit is whole again.
    pub(crate) reset: Duration,
    /// When the next request would be within, if this one is not.
    pub(crate) retry_after: Duration,
}

impl Rate {
    /// Without `burst`, as many at once as `requests`.
    pub(crate) fn new(requests: u64, per: Duration, burst: Option<u64>) -> Self {
        let per = u64::try_from(per.as_nanos()).unwrap_or(u64::MAX).max(1);
        let requests = requests.max(1);
        Self {
            interval: (per / requests).max(1),
            burst: burst.unwrap_or(requests).max(1),
        }
    }

    /// How many requests there are when nobody has used it.
    pub(crate) const fn burst(self) -> u64 {
        self.burst
    }

    /// In how many seconds that many are earned, rounded up.
    pub(crate) const fn window_seconds(self) -> u64 {
        self.whole().div_ceil(1_000_000_000)
    }

    const fn whole(self) -> u64 {
        self.interval.saturating_mul(self.burst)
    }

    /// Takes one request at `now`; `due` is the instant at which the bucket is whole again.
    fn take(self, due: u64, now: u64) -> (Standing, u64) {
        let after = due.max(now).saturating_add(self.interval);
        let limit = now.saturating_add(self.whole());
        if after > limit {
            let standing = Standing {
                is_within: false,
                remaining: 0,
                reset: Duration::from_nanos(due - now),
                retry_after: Duration::from_nanos(after - limit),
            };
            return (standing, due);
        }
        let standing = Standing {
            is_within: true,
            remaining: (limit - after) / self.interval,
            reset: Duration::from_nanos(after - now),
            retry_after: Duration::ZERO,
        };
        (standing, after)
    }
}

/// The buckets of one rule, one for each key, shared by all threads. Bounded: when there are too many keys, those that
/// were not seen lately are forgotten, and with them what they had used.
#[derive(Debug)]
pub(crate) struct Buckets {
    rate: Rate,
    epoch: Instant,
    shards: Vec<Mutex<Shard>>,
    keys_max: usize,
}

#[derive(Debug, Default)]
struct Shard {
    young: HashMap<u128, u64, BuildHasherDefault<Identity>>,
    old: HashMap<u128, u64, BuildHasherDefault<Identity>>,
}

const SHARDS: usize = 16;

impl Buckets {
    /// At most about `keys_max` keys are known at a time.
    pub(crate) fn new(rate: Rate, keys_max: usize, now: Instant) -> Self {
        Self {
            rate,
            // Due times before the first request must be expressible.
            epoch: now,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            keys_max: (keys_max / SHARDS / 2).max(1),
        }
    }

    pub(crate) const fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes one request of a key; keys are hashes already.
    pub(crate) fn take(&self, key: u128, now: Instant) -> Standing {
        let now = self.nanos(now);
        let mut shard = self.shard(key);
        let known = shard.young.get(&key).or_else(|| shard.old.get(&key)).copied();
        let (standing, due) = self.rate.take(known.unwrap_or_default(), now);
        shard.put(key, due, self.keys_max);
        standing
    }

    /// Gives back what a request took that was refused for another reason.
    pub(crate) fn give_back(&self, key: u128) {
        if let Some(due) = self.shard(key).young.get_mut(&key) {
            *due = due.saturating_sub(self.rate.interval);
        }
    }

    #[cfg(test)]
    fn keys(&self) -> usize {
        let count = |shard: &Mutex<Shard>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.young.len() + shard.old.len()
        };
        self.shards.iter().map(count).sum()
    }

    fn shard(&self, key: u128) -> MutexGuard<'_, Shard> {
        let index = usize::try_from(key >> 124).unwrap_or_default() % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nanos(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Shard {
    fn put(&mut self, key: u128, due: u64, keys_max: usize) {
        if self.young.len() >= keys_max && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, due);
    }
}

/// Keys are hashes: their bits need no further mixing.
#[derive(Debug, Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        // The low half; the high bits choose the shard.
        self.0 = u64::try_from(key & u128::from(u64::MAX)).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert, proptest};

    use super::*;

    #[test]
    fn a_burst_then_as_many_as_are_earned() {
        let start = Instant::now();
        let buckets = Buckets::new(Rate::new(5, Duration::from_secs(1), None), 100, start);
        let within = |at: u64| buckets.take(1, start + Duration::from_millis(at)).is_within;
        assert_eq!((0..10).filter(|_| within(0)).count(), 5);
        assert!(!within(199));
        assert!(within(200) && !within(201));
        assert_eq!((0..10).filter(|_| within(5000)).count(), 5);
        let refused = buckets.take(1, start + Duration::from_secs(5));
        assert_eq!(
            (refused.remaining, refused.retry_after),
            (0, Duration::from_millis(200))
        );
        assert_eq!(refused.reset, Duration::from_secs(1));
        assert!(
            buckets.take(2, start + Duration::from_secs(5)).is_within,
            "other keys have their own"
        );
        buckets.give_back(1);
        assert!(within(5000) && !within(5000));
        let slow = Rate::new(10, Duration::from_mins(1), None);
        assert_eq!((slow.burst(), slow.window_seconds()), (10, 60));
        assert_eq!(Rate::new(10, Duration::from_mins(1), Some(1)).window_seconds(), 6);
    }

    #[test]
    fn keys_are_bounded_and_those_in_use_are_kept() {
        let start = Instant::now();
        let buckets = Buckets::new(Rate::new(1, Duration::from_hours(1), Some(1)), 1_600, start);
        let spread = |number: u128| number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        assert!(buckets.take(spread(1), start).is_within);
        for number in 2..50_000 {
            buckets.take(spread(number), start);
            if number % 100 == 0 {
                assert!(
                    !buckets.take(spread(1), start).is_within,
                    "still known after {number} others"
                );
            }
        }
        assert!(buckets.keys() <= 1_600, "{}", buckets.keys());
    }

    proptest! {
        #[test]
        fn never_more_than_the_burst_and_what_was_earned(
            requests in 1_u64..1000,
            seconds in 1_u64..100,
            burst in 1_u64..100,
            gaps in prop::collection::vec(0_u64..2_000_000, 1..200),
        ) {
            let start = Instant::now();
            let per = Duration::from_secs(seconds);
            let buckets = Buckets::new(Rate::new(requests, per, Some(burst)), 100, start);
            let mut at = Duration::ZERO;
            let mut let_through = 0_u128;
            for gap in gaps {
                at += Duration::from_micros(gap);
                let standing = buckets.take(7, start + at);
                let_through += u128::from(standing.is_within);
                // The interval is rounded down to whole nanoseconds.
                let earned = at.as_nanos() / (per.as_nanos() / u128::from(requests)) ;
                prop_assert!(let_through <= u128::from(burst) + earned + 1);
                if !standing.is_within {
                    prop_assert!(buckets.take(7, start + at + standing.retry_after).is_within);
                    let_through += 1;
                    at += standing.retry_after;
                }
            }
        }
    }
}
