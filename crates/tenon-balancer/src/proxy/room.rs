//! Choosing a server, and waiting in a line while all have as many requests as they may.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;

use super::answers::Failure;
use super::worker::Worker;
use crate::upstream::{InFlight, Pick};

impl Worker {
    /// A place at the next server that was not tried yet.
    pub(super) fn pick(&self, tried: &[u64]) -> Pick {
        let directory = &self.shared.directory;
        if directory.room().waiting.load(Ordering::Relaxed) > 0 {
            // Whoever waits comes first.
            return Pick::Full;
        }
        directory.table().pick(&self.turn, tried)
    }

    /// Waits for a place; whoever waits longest gets the next one. None if there is no server any more that was not tried; an
    /// error if too many wait already, or for too long.
    pub(super) async fn wait_for_room(&self, tried: &[u64]) -> Result<Option<InFlight>, Failure> {
        let directory = &self.shared.directory;
        let (queue_max, queue_timeout) = {
            let table = directory.table();
            (table.queue_max, table.queue_timeout)
        };
        let room = directory.room();
        if room.waiting.fetch_add(1, Ordering::SeqCst) >= queue_max {
            room.waiting.fetch_sub(1, Ordering::SeqCst);
            return Err(Failure::Busy);
        }
        let _waiting = Waiting(&room.waiting);
        let until = Instant::now() + queue_timeout;
        let mut is_next = room.waiting.load(Ordering::SeqCst) == 1;
        loop {
            let mut freed = std::pin::pin!(room.freed.notified());
            // From here on no place is freed without this being told, or another one that waits.
            freed.as_mut().enable();
            if is_next {
                let picked = directory.table().pick(&self.turn, tried);
                if !matches!(picked, Pick::Full) {
                    // There may be room for one more.
                    room.freed.notify_one();
                }
                match picked {
                    Pick::Server(place) => return Ok(Some(place)),
                    Pick::Nobody => return Ok(None),
                    Pick::Full => {}
                }
            }
            if tokio::time::timeout_at(until, freed).await.is_err() {
                return Err(Failure::Busy);
            }
            is_next = true;
        }
    }
}

/// Counts as waiting while it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
