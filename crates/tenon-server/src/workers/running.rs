//! The calls that a worker has, by the numbers that frames know them by.

use std::num::NonZeroU64;

use tokio::time::{Duration, Instant};

use super::queue::Work;
use super::service::Class;
use super::stream::{Download, Upload};
use crate::call::ServiceError;

#[derive(Debug, Default)]
pub(crate) struct Slots {
    entries: Vec<Slot>,
    free: Vec<u32>,
    pub(crate) total: usize,
    /// Set once no further call may begin.
    pub(crate) closing: bool,
}

#[derive(Debug)]
pub(crate) struct Slot {
    generation: u32,
    running: Option<Running>,
}

/// A call that the worker has.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) work: Box<Work>,
    pub(crate) started: Instant,
    pub(crate) class: Class,
    pub(crate) cancelled_at: Option<Instant>,
    /// Whether it counts among the worker's calls of services that overrun.
    pub(crate) overruns: bool,
    pub(crate) host_calls: u32,
    /// Its number among all calls of the server; none as long as it has not asked the platform for anything.
    pub(crate) call_id: Option<NonZeroU64>,
    /// Since when it waits for the platform.
    pub(crate) waits_since: Option<Instant>,
    /// How long it has waited for the platform before that.
    pub(crate) waited: Duration,
    /// The rest of its request, if that comes in chunks.
    pub(crate) upload: Option<Upload>,
    /// The rest of its answer, if that comes in chunks and has begun.
    pub(crate) download: Option<Download>,
}

impl Running {
    pub(crate) fn new(work: Box<Work>, class: Class) -> Self {
        Self {
            overruns: work.service.overruns(),
            work,
            started: Instant::now(),
            class,
            cancelled_at: None,
            host_calls: 0,
            call_id: None,
            waits_since: None,
            waited: Duration::ZERO,
            upload: None,
            download: None,
        }
    }

    /// Whether anybody still waits for its answer, or for the rest of it.
    pub(crate) fn is_wanted(&self) -> bool {
        match &self.download {
            Some(download) => download.is_wanted(),
            None => self.work.is_wanted(),
        }
    }

    /// Tells whoever waits for its answer, or for the rest of it, how its worker ended.
    pub(crate) fn fail(&mut self, cause: &str) {
        match &mut self.download {
            Some(download) => download.cut_off(&format!("the worker ended: {cause}")),
            None => self.work.finish(Err(ServiceError::WorkerDied {
                cause: cause.to_owned(),
            })),
        }
    }

    /// Tells whoever waits for its answer, or for the rest of it, that its time is up.
    pub(crate) fn time_out(&mut self) {
        match &mut self.download {
            Some(download) => download.cut_off("the deadline passed"),
            None => self.work.finish(Err(ServiceError::Timeout)),
        }
    }

    /// Its number among all calls of the server, if it asked the platform for anything.
    pub(crate) fn call_id(&self) -> Option<u64> {
        self.call_id.map(NonZeroU64::get)
    }

    /// How long its own code has run, one way or another.
    pub(crate) fn busy(&self, now: Instant) -> Duration {
        let waits = self
            .waits_since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        now.saturating_duration_since(self.started)
            .saturating_sub(self.waited + waits)
    }
}

impl Slots {
    /// The calls with their ids.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut Running)> {
        self.entries.iter_mut().enumerate().filter_map(|(index, slot)| {
            let id = slot_id(index, slot.generation);
            slot.running.as_mut().map(|running| (id, running))
        })
    }

    /// Takes all calls out.
    pub(crate) fn take_all(&mut self) -> Vec<Running> {
        self.total = 0;
        self.entries.iter_mut().filter_map(|slot| slot.running.take()).collect()
    }

    pub(crate) fn insert(&mut self, running: Running) -> u64 {
        self.total += 1;
        let index = self.free.pop().map_or(self.entries.len(), |index| index as usize);
        if index == self.entries.len() {
            self.entries.push(Slot {
                generation: 0,
                running: None,
            });
        }
        let slot = &mut self.entries[index];
        slot.generation = slot.generation.wrapping_add(1);
        slot.running = Some(running);
        slot_id(index, slot.generation)
    }

    pub(crate) fn get(&mut self, id: u64) -> Option<&mut Running> {
        let (index, generation) = split_id(id);
        let slot = self.entries.get_mut(index)?;
        if slot.generation == generation {
            slot.running.as_mut()
        } else {
            None
        }
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<Running> {
        self.get(id)?;
        let (index, _) = split_id(id);
        let running = self.entries[index].running.take();
        self.free.push(u32::try_from(index).unwrap_or(u32::MAX));
        self.total -= 1;
        running
    }
}

/// An id is the slot's number and how often the slot was used, so that a late answer never completes another call.
fn slot_id(index: usize, generation: u32) -> u64 {
    (u64::from(generation) << 32) | index as u64
}

fn split_id(id: u64) -> (usize, u32) {
    let index = usize::try_from(id & u64::from(u32::MAX)).unwrap_or(usize::MAX);
    (index, u32::try_from(id >> 32).unwrap_or(u32::MAX))
}
