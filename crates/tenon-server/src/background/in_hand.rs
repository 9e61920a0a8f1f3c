//! The background calls that this server makes: at most so many, each with the task that makes it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tenon_store::BackgroundClaim;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// The calls in hand.
#[derive(Debug)]
pub(super) struct InHand {
    calls_max: usize,
    state: Mutex<State>,
    /// Told when there is room again.
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    tasks: HashMap<BackgroundClaim, AbortHandle>,
    /// Places for calls that are being put.
    reserved: usize,
}

/// Places for calls that are being put; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Places<'a> {
    in_hand: &'a InHand,
    count: usize,
}

impl InHand {
    /// At most so many calls.
    pub(super) fn new(calls_max: usize) -> Self {
        Self {
            calls_max: calls_max.max(1),
            state: Mutex::default(),
            ended: Notify::new(),
        }
    }

    /// How many more there may be.
    pub(super) fn room(&self) -> usize {
        let state = self.lock();
        self.calls_max.saturating_sub(state.tasks.len() + state.reserved)
    }

    /// Keeps places for so many calls; none if there is no room for all of them.
    pub(super) fn reserve(&self, count: usize) -> Option<Places<'_>> {
        let mut state = self.lock();
        if state.tasks.len() + state.reserved + count > self.calls_max {
            return None;
        }
        state.reserved += count;
        drop(state);
        Some(Places { in_hand: self, count })
    }

    /// Begins a call; its task removes it when it ends.
    pub(super) fn begin(&self, claim: BackgroundClaim, spawn: impl FnOnce() -> AbortHandle) {
        // Under the lock, so that the task can't end before it is known.
        let mut state = self.lock();
        let task = spawn();
        state.tasks.insert(claim, task);
    }

    /// A call has ended.
    pub(super) fn remove(&self, claim: BackgroundClaim) -> Option<AbortHandle> {
        let removed = self.lock().tasks.remove(&claim);
        self.ended.notify_one();
        removed
    }

    /// Ends a call that is no longer ours.
    pub(super) fn end(&self, claim: BackgroundClaim) {
        if let Some(task) = self.remove(claim) {
            task.abort();
        }
    }

    /// Ends all calls; which they were.
    pub(super) fn end_all(&self) -> Vec<BackgroundClaim> {
        let claims = self.claims();
        for claim in &claims {
            self.end(*claim);
        }
        claims
    }

    /// The calls in hand.
    pub(super) fn claims(&self) -> Vec<BackgroundClaim> {
        self.lock().tasks.keys().copied().collect()
    }

    /// Waits until a call has ended.
    pub(super) async fn has_room(&self) {
        self.ended.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Places<'_> {
    fn drop(&mut self) {
        self.in_hand.lock().reserved -= self.count;
    }
}
