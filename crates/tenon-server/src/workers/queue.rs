//! Calls that wait for a worker.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::service::{Class, ServiceEntry};
use crate::call::{ServiceAnswer, ServiceCall, ServiceError};

/// Answers a caller.
pub(crate) type AnswerSender = oneshot::Sender<Result<ServiceAnswer, ServiceError>>;

/// A call on its way, with the one who waits for it.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) call: ServiceCall,
    pub(crate) service: Arc<ServiceEntry>,
    /// Gone once the caller was answered.
    pub(crate) answer: Option<AnswerSender>,
    pub(crate) queued_at: Instant,
    /// How often a worker died while it ran this call, which was then given to another.
    pub(crate) retries: u32,
}

impl Work {
    /// Answers the caller, unless that was done.
    pub(crate) fn finish(&mut self, answer: Result<ServiceAnswer, ServiceError>) {
        if let Some(sender) = self.answer.take() {
            let _ = sender.send(answer);
        }
    }

    /// Whether it may be given to another worker if the one that has it dies. A body that was read once can't be sent again.
    pub(crate) fn can_repeat(&self) -> bool {
        self.call.idempotent && self.call.body_stream.is_none()
    }

    /// Lets go of what a worker was sent. It is in the memory into which the caller's connection reads, which that can use again
    /// then.
    pub(crate) fn forget_request(&mut self) {
        self.call.http = None;
        self.call.body = Bytes::new();
    }

    /// Whether anybody still waits.
    pub(crate) fn is_wanted(&self) -> bool {
        self.answer.as_ref().is_some_and(|sender| !sender.is_closed())
    }
}

/// First in, first out, per class: calls that wait for threads don't hold up others.
#[derive(Debug)]
pub(crate) struct Queue {
    lanes: Mutex<Lanes>,
    waiting: [AtomicUsize; 3],
    calls_max: usize,
    age_max: Duration,
}

#[derive(Debug, Default)]
struct Lanes {
    by_class: [VecDeque<Box<Work>>; 3],
    total: usize,
    closed: bool,
}

/// Why a call was not queued.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Too many wait.
    Full(Box<Work>),
    /// The pool has ended.
    Closed(Box<Work>),
}

impl Queue {
    pub(crate) fn new(calls_max: usize, age_max: Duration) -> Self {
        Self {
            lanes: Mutex::default(),
            waiting: [const { AtomicUsize::new(0) }; 3],
            calls_max,
            age_max,
        }
    }

    /// How many wait in a lane.
    pub(crate) fn waiting(&self, class: Class) -> usize {
        self.waiting[class as usize].load(Ordering::SeqCst)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        Class::ALL.iter().map(|class| self.waiting(*class)).sum()
    }

    pub(crate) fn push(&self, class: Class, work: Box<Work>) -> Result<(), Refused> {
        let mut lanes = self.lock();
        if lanes.closed {
            return Err(Refused::Closed(work));
        }
        if lanes.total >= self.calls_max {
            return Err(Refused::Full(work));
        }
        lanes.total += 1;
        lanes.by_class[class as usize].push_back(work);
        self.waiting[class as usize].fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// Puts a call before all others: one that a worker took with it when it died, or that found no room after all.
    pub(crate) fn push_front(&self, class: Class, work: Box<Work>) {
        let mut lanes = self.lock();
        lanes.total += 1;
        lanes.by_class[class as usize].push_front(work);
        self.waiting[class as usize].fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn pop(&self, class: Class) -> Option<Box<Work>> {
        let mut lanes = self.lock();
        let work = lanes.by_class[class as usize].pop_front()?;
        lanes.total -= 1;
        self.waiting[class as usize].fetch_sub(1, Ordering::SeqCst);
        Some(work)
    }

    /// Takes no more, if nothing waits.
    pub(crate) fn close_if_empty(&self) -> bool {
        let mut lanes = self.lock();
        lanes.closed |= lanes.total == 0;
        lanes.closed
    }

    /// Takes no more, and gives back what waits.
    pub(crate) fn close(&self) -> impl Iterator<Item = Box<Work>> + use<> {
        let mut lanes = self.lock();
        lanes.closed = true;
        lanes.total = 0;
        self.waiting
            .iter()
            .for_each(|waiting| waiting.store(0, Ordering::SeqCst));
        std::mem::take(&mut lanes.by_class).into_iter().flatten()
    }

    /// Answers those that waited too long, and forgets those that left.
    pub(crate) fn sweep(&self, now: Instant) {
        if self.len() == 0 {
            return;
        }
        let mut lanes = self.lock();
        for class in Class::ALL {
            let lane = &mut lanes.by_class[class as usize];
            let before = lane.len();
            lane.retain_mut(|work| {
                if !work.is_wanted() {
                    return false;
                }
                if now >= work.call.deadline {
                    work.finish(Err(ServiceError::Timeout));
                    return false;
                }
                if now.duration_since(work.queued_at) > self.age_max {
                    work.finish(Err(busy()));
                    return false;
                }
                true
            });
            let gone = before - lane.len();
            lanes.total -= gone;
            self.waiting[class as usize].fetch_sub(gone, Ordering::SeqCst);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a caller is told when too many wait.
pub(crate) fn busy() -> ServiceError {
    ServiceError::Busy {
        retry_after: Duration::from_secs(1),
    }
}
