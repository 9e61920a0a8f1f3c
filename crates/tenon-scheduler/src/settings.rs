//! Times and limits of a scheduler.

use serde::{Deserialize, Serialize};
use tenon_model::DurationText;

/// Times and limits of a scheduler. How long runs are kept, and how many of a job may wait, are settings of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long the lease lives that makes one scheduler the leader; another one takes over when it has ended.
    pub lease: DurationText,
    /// How often a leader renews its lease, and others try to get it.
    pub lease_every: DurationText,
    /// How often jobs are looked at when no event came. Also how soon a jump of the clock is noticed.
    pub recheck_every: DurationText,
    /// How long to wait after the store refused or could not be reached.
    pub retry_delay: DurationText,
    /// An instant that is planned at most this late counts as late; later, as missed, and the job's policy decides.
    pub late_grace: DurationText,
    /// How far back the clock may jump with what was planned before still counting as planned. After a longer jump jobs are
    /// planned anew from the clock's time.
    pub clock_back_max: DurationText,
    /// How many instants of one job are planned in one transaction.
    pub instants_max: usize,
    /// How many instants of all jobs are planned in one transaction.
    pub batch_max: usize,
    /// How many jobs the status lists with their next instants.
    pub status_jobs_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: DurationText::from_secs(6),
            lease_every: DurationText::from_secs(2),
            recheck_every: DurationText::from_secs(5),
            retry_delay: DurationText::from_secs(1),
            late_grace: DurationText::from_secs(30),
            clock_back_max: DurationText::from_secs(3600),
            instants_max: 1_000,
            batch_max: 4_000,
            status_jobs_max: 20,
        }
    }
}
