//! Deadlines, callers that left, and calls that don't end: one look at all of them, every 20 ms while anything runs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::{Duration, Instant};

use super::keeper::poison;
use super::pool::Inner;

const EVERY: Duration = Duration::from_millis(20);

/// Runs until the pool ends.
pub(crate) async fn sweep(inner: Arc<Inner>) {
    loop {
        if inner.is_idle() {
            inner.sweeping.store(false, Ordering::SeqCst);
            // A call that came just now may have seen the sweep running.
            if inner.is_idle() {
                tokio::select! {
                    () = inner.ended.cancelled() => return,
                    () = inner.wake_sweep.notified() => {}
                }
            }
            inner.sweeping.store(true, Ordering::SeqCst);
        }
        tokio::select! {
            () = inner.ended.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let now = Instant::now();
        inner.queue.sweep(now);
        let mut has_room = false;
        for worker in inner.workers.load().iter() {
            let swept = worker.sweep(now, &inner.shared);
            has_room |= swept.has_room;
            if !swept.stuck.is_empty() {
                poison(&inner, worker, swept.stuck);
            }
        }
        if has_room || inner.queue.len() > 0 {
            inner.pump_waiting();
        }
    }
}
