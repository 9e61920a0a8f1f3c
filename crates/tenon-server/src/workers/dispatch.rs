//! The way of a call to a worker: at once where there is room, or in turn.

use std::cmp::Reverse;
use std::sync::atomic::Ordering;

use super::pool::Inner;
use super::queue::{Refused, Work, busy};
use super::service::Class;
use crate::call::ServiceError;

impl Inner {
    /// Gives a call to a worker, or has it wait for one; gives it back if the pool takes none any more.
    pub(crate) fn submit(&self, work: Box<Work>) -> Result<(), Box<Work>> {
        if !self.sweeping.load(Ordering::Relaxed) {
            self.wake_sweep.notify_one();
        }
        let class = work.service.class();
        // Nobody overtakes those who wait.
        let work = if self.queue.waiting(class) == 0 {
            match self.begin(class, work) {
                Ok(()) => return Ok(()),
                Err(work) => work,
            }
        } else {
            work
        };
        match self.queue.push(class, work) {
            // Room that came up before the call was queued would otherwise go unnoticed.
            Ok(()) => self.pump(class),
            Err(Refused::Full(mut work)) => work.finish(Err(busy())),
            Err(Refused::Closed(work)) => return Err(work),
        }
        Ok(())
    }

    /// Gives a call to the worker with the fewest; of equals to the one used last, whose caches are warm. Calls of services that
    /// overrun go where there are such already, and others elsewhere if possible: code that does not stop slows down its worker.
    fn begin(&self, class: Class, mut work: Box<Work>) -> Result<(), Box<Work>> {
        let settings = &self.shared.settings;
        let workers = self.workers.load();
        let overruns = work.service.overruns();
        for _ in 0..workers.len() {
            let depth = work.call.depth;
            let best = workers
                .iter()
                .filter(|worker| worker.is_accepting() && worker.has_room(class, depth, settings))
                .min_by_key(|worker| {
                    let suspect = worker.suspect.load(Ordering::Relaxed);
                    let is_apart = worker.has_overrunning() == overruns;
                    (suspect, !is_apart, worker.load(), Reverse(worker.last_used()))
                });
            let Some(best) = best else {
                return Err(work);
            };
            let sequence = self.uses.fetch_add(1, Ordering::Relaxed);
            match best.begin(work, &self.shared, sequence) {
                Ok(()) => return Ok(()),
                Err(back) => work = back,
            }
        }
        Err(work)
    }

    /// Gives waiting calls to workers as long as there is room.
    pub(crate) fn pump(&self, class: Class) {
        while let Some(mut work) = self.queue.pop(class) {
            if !work.is_wanted() {
                continue;
            }
            if let Some(reason) = work.service.quarantine() {
                let error = ServiceError::Quarantined(reason.to_owned());
                work.finish(Err(error));
                continue;
            }
            if let Err(work) = self.begin(work.service.class(), work) {
                self.queue.push_front(class, work);
                return;
            }
        }
    }

    /// Pumps every lane that has anybody waiting.
    pub(crate) fn pump_waiting(&self) {
        for class in Class::ALL {
            if self.queue.waiting(class) > 0 {
                self.pump(class);
            }
        }
    }
}
