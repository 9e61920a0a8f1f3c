//! Canaries: deployments that serve a share of the calls until these say whether they become live.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tenon_model::InstanceId;

use crate::deployments::{DeploymentReply, DeploymentRequest};
use crate::engine::{Reply, Store, answer};
use crate::error::StoreError;

/// The upper bound of the first latency bucket.
const BUCKET_FIRST_MS: f64 = 1.0;

/// How much wider each bucket is than the one before: a quantile is known to this factor.
const BUCKET_GROWTH: f64 = 1.25;

/// So many buckets reach to a bit more than ten minutes; the last one takes the rest.
const BUCKETS: usize = 62;

/// What became of the calls of one deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeCounts {
    /// Calls that ended.
    pub calls: u64,
    /// How many of them failed.
    pub failures: u64,
    /// How many took how long, by bucket; buckets that are missing at the end are empty.
    latency: Vec<u64>,
}

impl OutcomeCounts {
    /// Counts a call.
    pub fn record(&mut self, took: Duration, is_failure: bool) {
        self.calls += 1;
        self.failures += u64::from(is_failure);
        let bucket = bucket_of(took);
        if self.latency.len() <= bucket {
            self.latency.resize(bucket + 1, 0);
        }
        self.latency[bucket] += 1;
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &OutcomeCounts) {
        self.calls += other.calls;
        self.failures += other.failures;
        if self.latency.len() < other.latency.len() {
            self.latency.resize(other.latency.len(), 0);
        }
        for (sum, count) in self.latency.iter_mut().zip(&other.latency) {
            *sum += count;
        }
    }

    /// The time that so many of 100 calls did not exceed, rounded up to the bound of a bucket; zero without calls.
    pub fn latency(&self, percent: u64) -> Duration {
        let all: u64 = self.latency.iter().sum();
        let mut below = 0;
        for (bucket, count) in self.latency.iter().enumerate() {
            below += count;
            if below > 0 && below.saturating_mul(100) >= all.saturating_mul(percent) {
                return bound_of(bucket);
            }
        }
        Duration::ZERO
    }
}

fn bucket_of(took: Duration) -> usize {
    (0..BUCKETS - 1)
        .find(|bucket| took <= bound_of(*bucket))
        .unwrap_or(BUCKETS - 1)
}

fn bound_of(bucket: usize) -> Duration {
    let exponent = i32::try_from(bucket).unwrap_or(i32::MAX);
    Duration::from_secs_f64(BUCKET_FIRST_MS / 1000.0 * BUCKET_GROWTH.powi(exponent))
}

/// What became of calls while a canary ran, on one server or on all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryCounts {
    /// Those of the live deployment.
    pub live: OutcomeCounts,
    /// Those of the canary.
    pub canary: OutcomeCounts,
    /// What broke in the canary and not in the live deployment, such as a service that was quarantined; empty if nothing did.
    pub broken: String,
}

impl CanaryCounts {
    /// Adds what another server counted.
    pub fn add(&mut self, other: &CanaryCounts) {
        self.live.add(&other.live);
        self.canary.add(&other.canary);
        if self.broken.is_empty() {
            self.broken.clone_from(&other.broken);
        }
    }
}

impl Store {
    /// Makes a deployment that is being prepared the canary of its group, in which an earlier one has to be live and no other may
    /// be a canary. A second time changes nothing.
    pub async fn begin_canary(&self, number: u64) -> Result<(), StoreError> {
        let request = DeploymentRequest::BeginCanary { number };
        answer!(self, request, Reply::Deployments(DeploymentReply::Done) => ())
    }

    /// Makes a canary live, or rolls it back, and keeps why. [`StoreError::Conflict`] if it is no canary any more: the first one
    /// who decides has decided.
    pub async fn end_canary(&self, number: u64, is_promoted: bool, reason: &str) -> Result<(), StoreError> {
        let reason = reason.to_owned();
        let request = DeploymentRequest::EndCanary {
            number,
            is_promoted,
            reason,
        };
        answer!(self, request, Reply::Deployments(DeploymentReply::Done) => ())
    }

    /// Says what a life of a server counted since the canary began there, in place of what it said before. Nothing if it is no
    /// canary any more. No event tells of it.
    pub async fn report_canary(
        &self,
        number: u64,
        server: &str,
        instance: &InstanceId,
        counts: CanaryCounts,
    ) -> Result<(), StoreError> {
        let request = DeploymentRequest::ReportCanary {
            number,
            server: server.to_owned(),
            instance: instance.clone(),
            counts,
        };
        answer!(self, request, Reply::Deployments(DeploymentReply::Done) => ())
    }

    /// What all servers counted of a canary, in all their lives. Empty for what is no canary.
    pub async fn canary_counts(&self, number: u64) -> Result<CanaryCounts, StoreError> {
        let request = DeploymentRequest::CanaryCounts { number };
        answer!(self, request, Reply::Deployments(DeploymentReply::CanaryCounts(counts)) => counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_bound_of_its_bucket() {
        let mut counts = OutcomeCounts::default();
        assert_eq!(counts.latency(95), Duration::ZERO);
        for ms in 1..=100 {
            counts.record(Duration::from_millis(ms), false);
        }
        let p95 = counts.latency(95).as_secs_f64() * 1000.0;
        assert!((95.0..95.0 * BUCKET_GROWTH).contains(&p95), "{p95}");
        counts.record(Duration::from_hours(5), true);
        assert_eq!(counts.latency(100), bound_of(BUCKETS - 1));
        assert!(counts.latency(100) > Duration::from_mins(10));
        assert_eq!((counts.calls, counts.failures), (101, 1));
    }

    #[test]
    fn what_two_servers_counted_is_what_one_would_have() {
        let (mut first, mut second, mut both) = <(OutcomeCounts, OutcomeCounts, OutcomeCounts)>::default();
        for ms in [0, 3, 700, 90, 5] {
            first.record(Duration::from_millis(ms), ms == 3);
            second.record(Duration::from_millis(ms * 9), false);
            both.record(Duration::from_millis(ms), ms == 3);
            both.record(Duration::from_millis(ms * 9), false);
        }
        first.add(&second);
        assert_eq!(first, both);
    }
}
