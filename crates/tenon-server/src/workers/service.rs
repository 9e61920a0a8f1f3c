//! A service as the pool knows it: what the hello said, and what was learned since.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tenon_protocol::worker::WorkerService;

/// A service whose calls take longer than this on average counts as slow.
const SLOW_US: u32 = 20_000;

/// After so many calls that ended a service that overran is trusted again.
const TRUSTED_AFTER: u32 = 100;

/// How calls of a service load a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// They end soon; a worker gets a few of them at once, so that one is always at hand.
    Fast = 0,
    /// Each keeps a thread for long.
    Slow = 1,
    /// They run on the worker's event loop.
    Async = 2,
}

impl Class {
    pub(crate) const ALL: [Class; 3] = [Class::Fast, Class::Slow, Class::Async];
}

/// A service of a deployment.
#[derive(Debug)]
pub struct ServiceEntry {
    /// Its number in the deployment.
    pub(crate) index: usize,
    /// Its name.
    pub name: String,
    /// The file that defines it, below `services/`.
    pub file: String,
    /// What its documentation says; empty if it has none.
    pub doc: String,
    /// Whether it runs on the worker's event loop.
    pub is_async: bool,
    /// Whether a call may be repeated when a worker dies in it.
    pub idempotent: bool,
    /// How long a call may take at most, if the service says so itself.
    pub timeout: Option<Duration>,
    /// The HTTP methods that it answers, if it has a handler for each.
    pub http_methods: Option<Vec<String>>,
    /// Whether it reads its input as a stream.
    pub streams: bool,
    /// Its input as JSON Schema, if it declares one.
    pub input: Option<Value>,
    /// Its output as JSON Schema, if it declares one.
    pub output: Option<Value>,
    mean_us: AtomicU32,
    completed: AtomicU64,
    /// How many calls have to end until it does not count as overrunning any more.
    distrust: AtomicU32,
    quarantine: OnceLock<String>,
}

impl ServiceEntry {
    pub(crate) fn new(index: usize, service: &WorkerService) -> Self {
        Self {
            index,
            name: service.name.clone(),
            file: service.file.clone(),
            doc: service.doc.clone().unwrap_or_default(),
            is_async: service.is_async,
            idempotent: service.idempotent,
            timeout: service.timeout_ms.map(Duration::from_millis),
            http_methods: service.http_methods.clone(),
            streams: service.streams,
            input: service.input.clone(),
            output: service.output.clone(),
            mean_us: AtomicU32::new(0),
            completed: AtomicU64::new(0),
            distrust: AtomicU32::new(0),
            quarantine: OnceLock::new(),
        }
    }

    /// Why the service is not run any more, if it is quarantined.
    pub fn quarantine(&self) -> Option<&str> {
        self.quarantine.get().map(String::as_str)
    }

    /// How many calls a worker has answered.
    pub fn completed(&self) -> u64 {
        self.completed.load(Ordering::Relaxed)
    }

    pub(crate) fn set_quarantine(&self, reason: String) -> bool {
        self.quarantine.set(reason).is_ok()
    }

    pub(crate) fn class(&self) -> Class {
        if self.is_async {
            Class::Async
        } else if self.mean_us.load(Ordering::Relaxed) > SLOW_US {
            Class::Slow
        } else {
            Class::Fast
        }
    }

    /// Learns from a call that ended. Two threads that learn at once may lose one of the two: it is a mean.
    pub(crate) fn learn(&self, took: Duration) {
        self.completed.fetch_add(1, Ordering::Relaxed);
        let sample = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let mean = self.mean_us.load(Ordering::Relaxed);
        let next = mean - mean / 8 + sample / 8;
        self.mean_us.store(next, Ordering::Relaxed);
        let distrust = self.distrust.load(Ordering::Relaxed);
        if distrust > 0 {
            self.distrust.store(distrust - 1, Ordering::Relaxed);
        }
    }

    /// Learns from a call that has not ended for a while.
    pub(crate) fn learn_slow(&self) {
        self.mean_us.fetch_max(SLOW_US * 2, Ordering::Relaxed);
    }

    /// Learns from a call that goes on although it was cancelled.
    pub(crate) fn learn_overrun(&self) {
        self.distrust.store(TRUSTED_AFTER, Ordering::Relaxed);
    }

    /// Whether calls of it went on although they were cancelled, and too few ended since.
    pub(crate) fn overruns(&self) -> bool {
        self.distrust.load(Ordering::Relaxed) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_becomes_slow_and_fast_again() {
        let service: WorkerService = serde_json::from_str(r#"{"name": "a"}"#).unwrap();
        let entry = ServiceEntry::new(0, &service);
        assert_eq!(entry.class(), Class::Fast);
        entry.learn_slow();
        assert_eq!(entry.class(), Class::Slow);
        for _ in 0..10 {
            entry.learn(Duration::from_micros(50));
        }
        assert_eq!(entry.class(), Class::Fast);
    }

    #[test]
    fn a_service_that_overran_is_trusted_again_in_time() {
        let service: WorkerService = serde_json::from_str(r#"{"name": "a"}"#).unwrap();
        let entry = ServiceEntry::new(0, &service);
        entry.learn_overrun();
        for _ in 1..TRUSTED_AFTER {
            entry.learn(Duration::from_micros(50));
        }
        assert!(entry.overruns());
        entry.learn(Duration::from_micros(50));
        assert!(!entry.overruns());
    }
}
