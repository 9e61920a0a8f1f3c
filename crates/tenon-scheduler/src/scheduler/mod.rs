//! The component: leads while it holds the lease, plans what is due, sleeps until the next instant.

mod leader;
mod status;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tenon_model::{Clock, InstanceId, Random, Timestamp};
use tenon_store::{Event, Events, Lease, Store, StoreError};
use tokio_util::sync::CancellationToken;

pub(crate) use leader::Leader;
pub use status::{NextInstant, SchedulerHandle, SchedulerStatus};

use crate::settings::Settings;
use status::StatusBoard;

/// The name of the lease that makes one scheduler the leader.
const LEASE: &str = "scheduler";

/// What a scheduler works with.
#[derive(Debug, Clone)]
pub struct SchedulerDeps {
    /// The store.
    pub store: Store,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// For jitter.
    pub random: Arc<dyn Random>,
    /// This life of the process.
    pub instance: InstanceId,
}

/// Decides when jobs are due. Any number of them may run on one store; one leads, the others stand by.
#[derive(Debug)]
pub struct Scheduler {
    deps: SchedulerDeps,
    settings: Settings,
    board: Arc<StatusBoard>,
}

/// What to do next.
enum Next {
    /// Wait this long for something to happen.
    Wait(Duration),
    /// Read all jobs again, after a wait.
    Reload(Duration),
}

impl Scheduler {
    /// A scheduler that does nothing until it runs.
    pub fn new(deps: SchedulerDeps, settings: Settings) -> Self {
        Self {
            deps,
            settings,
            board: Arc::default(),
        }
    }

    /// What others see of it, and how they wake it.
    pub fn handle(&self) -> SchedulerHandle {
        SchedulerHandle::new(Arc::clone(&self.board))
    }

    /// Runs until it is told to stop; then gives the lease back, so that another scheduler need not wait for its end.
    pub async fn run(self, stop: CancellationToken) {
        let mut events = self.deps.store.events();
        let mut leader: Option<Leader> = None;
        let mut lease: Option<Lease> = None;
        loop {
            let next = tokio::select! {
                () = stop.cancelled() => break,
                next = self.turn(&mut lease, &mut leader) => next,
            };
            let wait = match next {
                Next::Wait(wait) => wait,
                Next::Reload(wait) => {
                    leader = None;
                    wait
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
                () = self.board.woken() => {}
                reload = news(&mut events) => if reload {
                    leader = None;
                },
            }
        }
        self.board.stand_by();
        if let Some(lease) = lease
            && let Err(error) = self.deps.store.release_lease(&lease).await
        {
            tracing::warn!(error = %error, "the scheduler could not give its lease back; another one leads when it has ended");
        }
    }

    /// Leads for a moment, if the lease is to be had: follows the jobs and plans what is due.
    async fn turn(&self, lease: &mut Option<Lease>, leader: &mut Option<Leader>) -> Next {
        match self.lead(lease, leader).await {
            Ok(Some(due_at)) => {
                let until_due = due_at.since(self.deps.clock.now());
                Next::Wait(until_due.min(self.longest_wait()))
            }
            Ok(None) => {
                self.board.stand_by();
                Next::Reload(self.settings.lease_every.0)
            }
            Err(StoreError::Fenced(reason)) => {
                tracing::warn!(reason, "another scheduler has planned; jobs are read again");
                *lease = None;
                self.board.stand_by();
                Next::Reload(self.settings.retry_delay.0)
            }
            Err(error) => {
                if self.board.fail(&error.to_string()) {
                    tracing::warn!(error = %error, "the scheduler can't plan; it tries again until it can");
                }
                Next::Reload(self.settings.retry_delay.0)
            }
        }
    }

    /// The next instant, far away if there is none; none if another scheduler leads.
    async fn lead(
        &self,
        lease: &mut Option<Lease>,
        leader: &mut Option<Leader>,
    ) -> Result<Option<Timestamp>, StoreError> {
        let store = &self.deps.store;
        let ttl_ms = u64::try_from(self.settings.lease.0.as_millis()).unwrap_or(u64::MAX);
        let held = store.acquire_lease(LEASE, &self.deps.instance, ttl_ms).await?;
        if held.as_ref().map(|held| held.epoch) != lease.as_ref().map(|lease| lease.epoch) {
            // Who comes to lead trusts nothing that it read before.
            *leader = None;
        }
        lease.clone_from(&held);
        let Some(held) = held else {
            return Ok(None);
        };
        if leader.is_none() {
            *leader = Some(Leader::load(store).await?);
        }
        let leader = leader.as_mut().expect("it was loaded just now");
        leader.follow(store).await?;
        let clock = self.deps.clock.as_ref();
        leader
            .plan(store, &held, clock, self.deps.random.as_ref(), &self.settings)
            .await?;
        let next = leader.next_instants(self.settings.status_jobs_max);
        self.board.lead(leader.job_count(), next);
        Ok(Some(leader.next_due().unwrap_or(Timestamp::from_millis(i64::MAX))))
    }

    fn longest_wait(&self) -> Duration {
        self.settings.lease_every.0.min(self.settings.recheck_every.0)
    }
}

/// Waits for something that a scheduler must look at. Whether everything must be read again.
async fn news(events: &mut Events) -> bool {
    loop {
        match events.recv().await {
            Some(Event::Objects(_)) => return false,
            Some(Event::Reconnected) => return true,
            Some(_) => {}
            None => std::future::pending().await,
        }
    }
}
