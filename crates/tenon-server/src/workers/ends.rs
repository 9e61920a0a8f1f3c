//! What a worker that ended leaves behind: its calls, the question whose fault it was, and how long to wait for the next one.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use tokio::time::{Duration, Instant};

use super::pool::Inner;
use super::service::ServiceEntry;
use super::worker::Worker;

/// A worker that lived longer than this did not die young.
const YOUNG: Duration = Duration::from_secs(10);

impl Inner {
    /// Looks after what a worker that ended leaves behind.
    pub(crate) fn worker_ended(&self, worker: &Arc<Worker>, cause: &str) {
        self.workers.rcu(|workers| {
            let others = workers.iter().filter(|other| !Arc::ptr_eq(other, worker));
            others.cloned().collect::<Vec<_>>()
        });
        let was_wanted = worker.is_accepting() || worker.blamed.get().is_some();
        let left = worker.abandon();
        if was_wanted && !self.ended.is_cancelled() {
            tracing::warn!(worker = %worker.name, pid = worker.pid, calls = left.len(), "the worker ended: {cause}");
            self.note_end(worker, !left.is_empty() || worker.blamed.get().is_some());
            self.blame(worker, left.iter().map(|running| &running.work.service), cause);
        } else {
            tracing::debug!(worker = %worker.name, pid = worker.pid, "the worker ended: {cause}");
        }
        // Who has answered the least is the likeliest to have ended the worker; the others only happened to be there.
        let least = left.iter().map(|running| running.work.service.completed()).min();
        for mut running in left {
            if let Some(call_id) = running.call_id() {
                self.host.call_ended(call_id);
            }
            let work = &running.work;
            let retries_max = if Some(work.service.completed()) > least {
                self.shared.settings.bystander_retries_max
            } else {
                1
            };
            if work.can_repeat() && work.retries < retries_max && work.is_wanted() {
                let mut work = running.work;
                work.retries += 1;
                tracing::info!(cid = %work.call.cid, service = %work.service.name, "the call is run again by another worker");
                self.queue.push_front(work.service.class(), work);
            } else {
                running.fail(cause);
            }
        }
        self.pump_waiting();
        self.wake_keeper.notify_one();
    }

    fn note_end(&self, worker: &Worker, in_calls: bool) {
        let (nobodys, of_calls) = (&self.early_deaths, &self.early_deaths_in_calls);
        if worker.started.elapsed() >= YOUNG {
            nobodys.store(0, Ordering::Relaxed);
            of_calls.store(0, Ordering::Relaxed);
        } else {
            let counter = if in_calls { of_calls } else { nobodys };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How long to wait before the next worker is started. Not at all after deaths that a service will be quarantined for if it
    /// goes on: the calls of all others wait for that worker.
    pub(crate) fn restart_delay(&self) -> Duration {
        let settings = &self.shared.settings;
        let blamed = u32::try_from(settings.quarantine_deaths).unwrap_or(u32::MAX);
        let of_calls = self.early_deaths_in_calls.load(Ordering::Relaxed);
        let nobodys = self.early_deaths.load(Ordering::Relaxed);
        settings.restart_delay(nobodys.saturating_add(of_calls.saturating_sub(blamed)))
    }

    fn blame<'a>(&self, worker: &Worker, ran: impl Iterator<Item = &'a Arc<ServiceEntry>>, cause: &str) {
        let mut ran: Vec<_> = worker.blamed.get().cloned().unwrap_or_else(|| ran.cloned().collect());
        ran.sort_by_key(|service| service.index);
        ran.dedup_by_key(|service| service.index);
        if ran.is_empty() {
            return;
        }
        let limit = self.shared.settings.quarantine_deaths;
        let mut deaths = self.deaths.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(service) = deaths.note(Instant::now(), &ran, limit) {
            let reason = format!("{limit} workers ended within a minute while they ran it, the last by {cause}");
            tracing::error!(service = %service.name, "'{}' is quarantined: {reason}", service.name);
            service.set_quarantine(reason);
        }
    }
}
