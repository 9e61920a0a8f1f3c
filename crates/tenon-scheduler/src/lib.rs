//! When a job is due, and the record of its runs.

mod config;
mod cron;
mod schedule;

pub use config::{Dst, Fold, Gap, JobConfig, Missed, MissedPolicy, OnLost, Overlap, Retries};
pub use schedule::{Schedule, next_after};

use tenon_model::Kind;

/// The kinds of objects that live here.
pub fn kinds() -> Vec<Kind> {
    vec![Kind::of::<JobConfig>()]
}
