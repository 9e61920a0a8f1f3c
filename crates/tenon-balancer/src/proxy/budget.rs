//! How many requests a thread may send again.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many requests may be sent again: a burst at any time, and a part of the traffic beyond it.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    burst: usize,
    percent: usize,
    /// Hundredths of a retry that are left.
    left: AtomicUsize,
}

impl RetryBudget {
    pub(super) fn new(burst: u32, percent: u32) -> Self {
        let (burst, percent) = (burst as usize * 100, percent as usize);
        Self {
            burst,
            percent,
            left: AtomicUsize::new(burst),
        }
    }

    /// A request came.
    pub(crate) fn earn(&self) {
        let left = self.left.load(Ordering::Relaxed);
        if left < self.burst {
            self.left.store(left + self.percent, Ordering::Relaxed);
        }
    }

    /// A tenth of the burst comes back each second.
    pub(super) fn refill(&self) {
        let left = self.left.load(Ordering::Relaxed);
        self.left
            .store((left + self.burst / 40).min(self.burst), Ordering::Relaxed);
    }

    /// A request is to be sent again; false if it may not.
    pub(crate) fn spend(&self) -> bool {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(100), Ordering::Relaxed);
        left >= 100
    }
}
