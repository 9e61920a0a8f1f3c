//! Limits that every connection and request has: the settings, or what was configured over them. Reading one costs nothing.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tenon_model::DurationText;

use crate::kinds::BalancerConfig;
use crate::settings::Settings;

/// The limits in force.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    connections_max: AtomicUsize,
    connections_per_address_max: AtomicUsize,
    headers_max: AtomicUsize,
    body_bytes_max: AtomicU64,
    head_timeout_micros: AtomicU64,
    idle_timeout_micros: AtomicU64,
    response_head_timeout_micros: AtomicU64,
}

impl Limits {
    pub(super) fn new(settings: &Settings) -> Self {
        let limits = Self::default();
        limits.apply(settings, &BalancerConfig::default());
        limits
    }

    pub(super) fn apply(&self, settings: &Settings, config: &BalancerConfig) {
        let count = |given: Option<u64>| given.map(|given| usize::try_from(given).unwrap_or(usize::MAX));
        let put = |limit: &AtomicUsize, value: usize| limit.store(value, Ordering::Relaxed);
        put(
            &self.connections_max,
            count(config.connections_max).unwrap_or(settings.connections_max),
        );
        put(
            &self.connections_per_address_max,
            count(config.connections_per_address_max).unwrap_or(usize::MAX),
        );
        put(
            &self.headers_max,
            count(config.headers_max).unwrap_or(settings.headers_max),
        );
        let body = config.body_bytes_max.unwrap_or(u64::MAX).min(settings.body_bytes_max);
        self.body_bytes_max.store(body, Ordering::Relaxed);
        for (limit, given, setting) in [
            (&self.head_timeout_micros, config.head_timeout, settings.head_timeout),
            (&self.idle_timeout_micros, config.idle_timeout, settings.idle_timeout),
            (
                &self.response_head_timeout_micros,
                config.response_head_timeout,
                settings.response_head_timeout,
            ),
        ] {
            limit.store(micros(given.unwrap_or(setting)), Ordering::Relaxed);
        }
    }

    /// Open client connections at most.
    pub(crate) fn connections_max(&self) -> usize {
        self.connections_max.load(Ordering::Relaxed)
    }

    /// Open connections of one address at most.
    pub(crate) fn connections_per_address_max(&self) -> usize {
        self.connections_per_address_max.load(Ordering::Relaxed)
    }

    /// Header fields of a request at most.
    pub(crate) fn headers_max(&self) -> usize {
        self.headers_max.load(Ordering::Relaxed)
    }

    /// Bytes of a request body at most.
    pub(crate) fn body_bytes_max(&self) -> u64 {
        self.body_bytes_max.load(Ordering::Relaxed)
    }

    /// From the first byte of a head to its last.
    pub(crate) fn head_timeout(&self) -> Duration {
        Duration::from_micros(self.head_timeout_micros.load(Ordering::Relaxed))
    }

    /// How long a connection between two requests is kept.
    pub(crate) fn idle_timeout(&self) -> Duration {
        Duration::from_micros(self.idle_timeout_micros.load(Ordering::Relaxed))
    }

    /// How long a server may take to the head of its answer.
    pub(crate) fn response_head_timeout(&self) -> Duration {
        Duration::from_micros(self.response_head_timeout_micros.load(Ordering::Relaxed))
    }
}

fn micros(duration: DurationText) -> u64 {
    // Longer than that is for ever, and must still fit the clock.
    const LONGEST: u64 = 1_000_000 * 60 * 60 * 24 * 365;
    u64::try_from(duration.0.as_micros()).unwrap_or(LONGEST).min(LONGEST)
}
