//! What others see of a scheduler.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tenon_model::Timestamp;
use tokio::sync::Notify;

/// How a scheduler is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SchedulerStatus {
    /// Whether it leads; if not, it stands by.
    pub leader: bool,
    /// How many jobs it knows; 0 while it stands by.
    pub jobs: usize,
    /// The jobs that are due next.
    pub next: Vec<NextInstant>,
    /// Why it can't plan now; empty if it can.
    pub error: String,
}

/// When a job is due next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NextInstant {
    /// The job's name.
    pub job: String,
    /// When it will be run, jitter included.
    pub due_at: Timestamp,
}

/// A view of a scheduler that runs elsewhere. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SchedulerHandle(Arc<StatusBoard>);

impl SchedulerHandle {
    pub(super) fn new(board: Arc<StatusBoard>) -> Self {
        Self(board)
    }

    /// How the scheduler is.
    pub fn status(&self) -> SchedulerStatus {
        self.0.status().clone()
    }

    /// Lets the scheduler look at its jobs now: something changed.
    pub fn wake(&self) {
        self.0.wake.notify_one();
    }
}

/// Where a scheduler writes how it is.
#[derive(Debug, Default)]
pub(super) struct StatusBoard {
    status: Mutex<SchedulerStatus>,
    wake: Notify,
}

impl StatusBoard {
    fn status(&self) -> MutexGuard<'_, SchedulerStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    pub(super) fn lead(&self, jobs: usize, next: Vec<NextInstant>) {
        *self.status() = SchedulerStatus {
            leader: true,
            jobs,
            next,
            error: String::new(),
        };
    }

    pub(super) fn stand_by(&self) {
        *self.status() = SchedulerStatus::default();
    }

    /// Keeps why nothing can be planned. Whether that is news.
    pub(super) fn fail(&self, error: &str) -> bool {
        let mut status = self.status();
        let is_news = status.error.is_empty();
        error.clone_into(&mut status.error);
        status.leader = false;
        is_news
    }
}
