//! Servers that answer checks but fail requests: when they get none for a while.

use std::time::{Duration, Instant};

/// When a server is ejected, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EjectionPolicy {
    /// So many failed attempts in a window, if they are half of all or more; 0 for never.
    pub(crate) failures: u32,
    pub(crate) window: Duration,
    /// How long the first time; twice as long each time it follows another.
    pub(crate) time: Duration,
    /// Of all servers that could take requests, at most so many.
    pub(crate) max_percent: u32,
}

/// No ejection is longer than the first one by more than this factor.
const GROWTH_MAX: u32 = 32;

/// What a server's requests say of it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Conduct {
    window: Option<Window>,
    until: Option<Instant>,
    /// How long the last ejection was.
    last: Duration,
    /// Ejections that followed each other.
    times: u32,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    began: Instant,
    /// Answers of the server until then.
    answers: u64,
    failures: u32,
}

impl Conduct {
    /// Notes a failed attempt; `answers` is how many the server has given in all. Whether it should be ejected.
    pub(super) fn failed(&mut self, policy: &EjectionPolicy, answers: u64, now: Instant) -> bool {
        if policy.failures == 0 || self.until.is_some() {
            return false;
        }
        let new = Window {
            began: now,
            answers,
            failures: 0,
        };
        let window = self.window.get_or_insert(new);
        if now.saturating_duration_since(window.began) > policy.window {
            *window = new;
        }
        window.failures += 1;
        let good = answers.saturating_sub(window.answers);
        window.failures >= policy.failures && u64::from(window.failures) >= good
    }

    /// Ejects the server; gives for how long.
    pub(super) fn eject(&mut self, policy: &EjectionPolicy, now: Instant) -> Duration {
        let time = policy.time * (1 << self.times.min(GROWTH_MAX.ilog2()));
        self.times += 1;
        self.window = None;
        self.last = time;
        self.until = Some(now + time);
        time
    }

    /// How long it is ejected still.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(now))
    }

    pub(super) fn is_ejected(&self) -> bool {
        self.until.is_some()
    }

    /// Takes it back if its time is over; whether that is so now.
    pub(super) fn forgive(&mut self, now: Instant) -> bool {
        if self.until.is_some_and(|until| now >= until) {
            self.until = None;
            self.window = None;
            return true;
        }
        false
    }

    /// After having been good for as long as it was ejected, the next ejection is a first one again; `since` is when it came back.
    pub(super) fn forget(&mut self, since: Instant, now: Instant) {
        if self.until.is_none() && now.saturating_duration_since(since) > self.last.max(MEMORY_MIN) {
            self.times = 0;
        }
    }
}

/// Ejections that follow each other within this time count as one after the other.
const MEMORY_MIN: Duration = Duration::from_secs(30);
