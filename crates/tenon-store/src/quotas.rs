//! Quotas: how much of something may be used in a time, over all servers of the cluster. Best effort: kept in the memory of
//! the process that has the files open, and full again when that restarts.

use serde::{Deserialize, Serialize};

use crate::engine::{Reply, Store, answer};
use crate::error::StoreError;

/// A unit of time that windows begin with, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuotaUnit {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A calendar month.
    Month,
}

/// How a quota fills again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum QuotaKind {
    /// A bucket that fills steadily and holds `burst` at most; it is full at first.
    TokenBucket {
        /// How many are added in a second.
        rate_per_second: f64,
        /// How many it holds.
        burst: f64,
    },
    /// So many in each unit of time; all are there again when the next one begins.
    FixedWindow {
        /// How many.
        limit: u64,
        /// In which time.
        unit: QuotaUnit,
    },
}

/// What a quota allows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QuotaSpec {
    /// How it fills again.
    pub kind: QuotaKind,
}

/// What was given of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaGrant {
    /// How many were given: as many as were wanted, or what was left.
    pub granted: u64,
    /// How many are left.
    pub remaining: u64,
    /// When at least one will be there again, in milliseconds; 0 if all that were wanted were given.
    pub retry_after_ms: u64,
    /// When the quota is whole again if nobody takes more, in milliseconds.
    pub reset_ms: u64,
}

/// Requests about quotas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum QuotaRequest {
    /// See [`Store::take_quota`].
    Take {
        /// Which quota.
        key: String,
        /// What it allows.
        spec: QuotaSpec,
        /// How many are wanted.
        wanted: u64,
    },
}

/// Answers about quotas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum QuotaReply {
    /// What was given.
    Granted(QuotaGrant),
}

impl Store {
    /// Takes of a quota: as many as are wanted, or what is left. A key is new when it was never taken of, was whole again, or
    /// its `spec` changed. Best effort: nothing of it is on disk, and a call repeated over a lost connection takes twice.
    pub async fn take_quota(&self, key: &str, spec: QuotaSpec, wanted: u64) -> Result<QuotaGrant, StoreError> {
        let request = QuotaRequest::Take {
            key: key.to_owned(),
            spec,
            wanted,
        };
        answer!(self, request, Reply::Quotas(QuotaReply::Granted(grant)) => grant)
    }
}
