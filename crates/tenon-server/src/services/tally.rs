//! What became of the calls of a group while a canary of it runs.

use std::sync::{Mutex, PoisonError};

use tenon_store::{CanaryCounts, OutcomeCounts};
use tokio::time::Duration;

use crate::call::{ServiceAnswer, ServiceError};

/// Which of the two ran a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The live deployment.
    Live,
    /// The canary.
    Canary,
}

/// Counts the outcomes of both.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<CanaryCounts>);

impl Tally {
    /// Counts a call that has ended, unless its caller is to blame.
    pub(crate) fn record(&self, side: Side, took: Duration, outcome: &Result<ServiceAnswer, ServiceError>) {
        let is_failure = match outcome {
            Ok(answer) => answer.status >= 500,
            Err(ServiceError::Body(_)) => return,
            Err(_) => true,
        };
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts: &mut OutcomeCounts = match side {
            Side::Live => &mut counts.live,
            Side::Canary => &mut counts.canary,
        };
        counts.record(took, is_failure);
    }

    /// What was counted so far.
    pub(crate) fn counts(&self) -> CanaryCounts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
