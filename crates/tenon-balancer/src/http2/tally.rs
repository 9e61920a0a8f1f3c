//! What the streams of one connection have in common: how many there are, and how many the client has thrown away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// The streams of one connection.
#[derive(Debug)]
pub(super) struct Tally {
    /// For those who want to be told of connections that are between requests, which a stream never is.
    busy: Arc<AtomicBool>,
    open: AtomicUsize,
    since: Mutex<Instant>,
    /// Requests that the client may still reset; each that is answered earns one.
    resets_left: AtomicUsize,
    resets_max: usize,
}

impl Tally {
    pub(super) fn new(resets_max: usize) -> Self {
        Self {
            busy: Arc::default(),
            open: AtomicUsize::new(0),
            since: Mutex::new(Instant::now()),
            resets_left: AtomicUsize::new(resets_max),
            resets_max,
        }
    }

    pub(super) fn busy(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.busy)
    }

    pub(super) fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// A stream has ended; `reset` is whether the client did not want its answer any more.
    pub(super) fn closed(&self, reset: bool) {
        let left = self.resets_left.load(Ordering::Relaxed);
        let left = if reset {
            left.saturating_sub(1)
        } else {
            (left + 1).min(self.resets_max)
        };
        self.resets_left.store(left, Ordering::Relaxed);
        if self.open.fetch_sub(1, Ordering::Relaxed) == 1 {
            *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }

    /// Whether the client resets more than it lets be answered.
    pub(super) fn is_too_much(&self) -> bool {
        self.resets_left.load(Ordering::Relaxed) == 0
    }

    /// Since when no stream is open, if none is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let is_idle = self.open.load(Ordering::Relaxed) == 0;
        is_idle.then(|| *self.since.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
