//! So many at the same time: a gate with a bounded queue in which nobody waits longer than a deadline.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// How many are let in, and how many wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GateLimits {
    /// Let in at the same time, at most.
    pub(crate) max: usize,
    /// Waiting at the same time, at most.
    pub(crate) queue_max: usize,
    /// How long one waits at most.
    pub(crate) queue_timeout: Duration,
}

/// The gate, shared by all threads. Who waits longest is let in first.
#[derive(Debug)]
pub(crate) struct Gate(Mutex<State>);

#[derive(Debug)]
struct State {
    limits: GateLimits,
    inside: usize,
    queue: VecDeque<oneshot::Sender<Pass>>,
    /// Those in the queue that still wait.
    waiting: usize,
}

/// Why one was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turned {
    /// Too many wait already.
    QueueFull,
    /// It waited too long.
    TooLong,
}

/// Being inside, until it is dropped.
#[derive(Debug)]
pub(crate) struct Pass(Option<Arc<Gate>>);

impl Gate {
    pub(crate) const fn new(limits: GateLimits) -> Self {
        Self(Mutex::new(State {
            limits,
            inside: 0,
            queue: VecDeque::new(),
            waiting: 0,
        }))
    }

    /// Changes the limits; who is inside stays, and who waits is let in if there is room now.
    pub(crate) fn set_limits(self: &Arc<Self>, limits: GateLimits) {
        self.lock().limits = limits;
        while self.admit_next() {}
    }

    /// Those that wait now.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// Goes in, now or when there is room.
    pub(crate) async fn enter(self: &Arc<Self>) -> Result<Pass, Turned> {
        let (receiver, timeout) = {
            let mut state = self.lock();
            if state.inside < state.limits.max {
                state.inside += 1;
                return Ok(Pass(Some(Arc::clone(self))));
            }
            if state.waiting >= state.limits.queue_max {
                return Err(Turned::QueueFull);
            }
            if state.queue.len() > state.waiting * 2 + 16 {
                state.queue.retain(|sender| !sender.is_closed());
            }
            let (sender, receiver) = oneshot::channel();
            state.queue.push_back(sender);
            state.waiting += 1;
            (receiver, state.limits.queue_timeout)
        };
        let _waiting = Waiting(self);
        match tokio::time::timeout(timeout, receiver).await {
            Ok(Ok(pass)) => Ok(pass),
            _ => Err(Turned::TooLong),
        }
    }

    /// Lets in who waits longest, if there is room; whether somebody was found.
    fn admit_next(self: &Arc<Self>) -> bool {
        let sender = {
            let mut state = self.lock();
            if state.inside >= state.limits.max {
                return false;
            }
            let Some(sender) = state.queue.pop_front() else {
                return false;
            };
            state.inside += 1;
            sender
        };
        // One that has given up gives the pass back by dropping it, outside the lock; then the next one is looked at.
        if let Err(mut pass) = sender.send(Pass(Some(Arc::clone(self)))) {
            pass.0 = None;
            self.lock().inside -= 1;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(gate) = self.0.take() {
            gate.lock().inside -= 1;
            while gate.admit_next() {}
        }
    }
}

/// Counts as waiting while it lives.
struct Waiting<'a>(&'a Gate);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(max: usize, queue_max: usize, timeout: u64) -> Arc<Gate> {
        Arc::new(Gate::new(GateLimits {
            max,
            queue_max,
            queue_timeout: Duration::from_millis(timeout),
        }))
    }

    async fn waiting(gate: &Gate, count: usize) {
        while gate.waiting() != count {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn who_waits_longest_comes_first_and_too_many_are_turned_away() {
        let gate = gate(1, 2, 600_000);
        let inside = gate.enter().await.unwrap();
        let mut tasks = Vec::new();
        let (order, mut entered) = tokio::sync::mpsc::unbounded_channel();
        for number in 0..2 {
            let (gate_of_task, order) = (Arc::clone(&gate), order.clone());
            tasks.push(tokio::spawn(async move {
                let pass = gate_of_task.enter().await.unwrap();
                order.send(number).unwrap();
                drop(pass);
            }));
            waiting(&gate, number + 1).await;
        }
        assert_eq!(gate.enter().await.unwrap_err(), Turned::QueueFull);
        drop(inside);
        assert_eq!((entered.recv().await, entered.recv().await), (Some(0), Some(1)));
        for task in tasks {
            task.await.unwrap();
        }
        assert!(gate.enter().await.is_ok());
    }

    #[tokio::test]
    async fn waiting_ends_at_the_deadline_and_leaves_no_trace() {
        let gate = gate(1, 1, 5);
        let inside = gate.enter().await.unwrap();
        for _ in 0..40 {
            assert_eq!(gate.enter().await.unwrap_err(), Turned::TooLong);
        }
        assert_eq!(gate.waiting(), 0);
        assert!(gate.lock().queue.len() < 25);
        drop(inside);
        assert!(gate.enter().await.is_ok());
        assert_eq!(gate.lock().inside, 0);
    }

    #[tokio::test]
    async fn more_room_lets_in_who_waits() {
        let gate = gate(1, 10, 600_000);
        let first = gate.enter().await.unwrap();
        let gate_of_task = Arc::clone(&gate);
        let second = tokio::spawn(async move { gate_of_task.enter().await });
        waiting(&gate, 1).await;
        let mut limits = gate.lock().limits;
        limits.max = 2;
        gate.set_limits(limits);
        let second = second.await.unwrap().unwrap();
        limits.max = 1;
        gate.set_limits(limits);
        drop(first);
        limits.queue_max = 0;
        gate.set_limits(limits);
        assert_eq!(
            gate.enter().await.unwrap_err(),
            Turned::QueueFull,
            "one is still inside"
        );
        drop(second);
        assert!(gate.enter().await.is_ok());
    }
}
