//! What is kept, within its bounds.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Key, Outcome, Shared};

/// About what a note takes that a request was seen, in bytes.
const SEEN_BYTES: u64 = 256;

/// The answers of a server.
#[derive(Debug)]
pub(super) struct Answers {
    slots: HashMap<Key, Slot>,
    /// The slots by when they were last used.
    order: BTreeMap<u64, Key>,
    /// Requests that are under way.
    pub(super) running: HashMap<Key, watch::Receiver<Outcome>>,
    uses: u64,
    /// What all slots take.
    pub(super) bytes: u64,
    bytes_max: u64,
}

#[derive(Debug)]
struct Slot {
    used: u64,
    bytes: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    Answer(Arc<Shared>),
    /// The request came once, and counts as seen until then.
    Seen(Instant),
}

impl Answers {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self {
            slots: HashMap::new(),
            order: BTreeMap::new(),
            running: HashMap::new(),
            uses: 0,
            bytes: 0,
            bytes_max,
        }
    }

    pub(super) fn get(&mut self, key: &Key) -> Option<Arc<Shared>> {
        let slot = self.slots.get_mut(key)?;
        let What::Answer(shared) = &slot.what else { return None };
        self.uses += 1;
        self.order.remove(&slot.used);
        self.order.insert(self.uses, *key);
        slot.used = self.uses;
        Some(Arc::clone(shared))
    }

    pub(super) fn keep(&mut self, key: Key, shared: Arc<Shared>) {
        let bytes = shared.answer.size();
        self.put(key, bytes, What::Answer(shared));
    }

    /// Whether the request came before, within this time; from now on it did.
    pub(super) fn was_seen(&mut self, key: &Key, now: Instant, within: Duration) -> bool {
        let seen = self.slots.get(key).map(|slot| match &slot.what {
            What::Seen(until) => *until > now,
            What::Answer(_) => true,
        });
        if seen != Some(true) {
            self.put(*key, SEEN_BYTES, What::Seen(now + within));
        }
        seen == Some(true)
    }

    pub(super) fn forget(&mut self, key: &Key) {
        if let Some(slot) = self.slots.remove(key) {
            self.order.remove(&slot.used);
            self.bytes -= slot.bytes;
        }
    }

    fn put(&mut self, key: Key, bytes: u64, what: What) {
        self.forget(&key);
        if bytes > self.bytes_max {
            return;
        }
        while self.bytes + bytes > self.bytes_max {
            let Some((_, oldest)) = self.order.pop_first() else {
                break;
            };
            if let Some(slot) = self.slots.remove(&oldest) {
                self.bytes -= slot.bytes;
            }
        }
        self.uses += 1;
        self.bytes += bytes;
        self.order.insert(self.uses, key);
        let used = self.uses;
        self.slots.insert(key, Slot { used, bytes, what });
    }
}
