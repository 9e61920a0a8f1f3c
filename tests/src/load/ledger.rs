//! One entry for every request, and sums of them.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::kind::{Kind, Via};
use super::latency::Latencies;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// As if nothing had happened.
    Answered,
    /// It had to be sent again, it was known that it could be, and it was answered then.
    Retried,
    /// Nobody knows whether it was done, and the client knows that.
    Unknown,
    /// Anything else.
    Failed,
}

/// A request and how it ended.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What the request carried and the service recorded.
    pub id: u64,
    /// What was asked.
    pub kind: Kind,
    /// Over what.
    pub via: Via,
    /// When it should have been sent.
    pub due: Instant,
    /// When it had ended.
    pub ended: Instant,
    /// How often the client sent it again.
    pub repeats: u32,
    /// How it ended.
    pub end: End,
    /// Why it ended so or had to be repeated; empty if it was simply answered.
    pub why: String,
    /// The correlation id of its answer; empty without one.
    pub cid: String,
    /// How often such a client asks if each answer is quick; nothing if it asks whether or not it has its answer.
    pub interval: Option<Duration>,
}

/// How many requests ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Answered at once.
    pub answered: u64,
    /// Sent again by the load balancer or run again by a server; the client noticed nothing.
    pub retried_inside: u64,
    /// Sent again by the client, which knew that it could.
    pub retried_by_client: u64,
    /// Explicitly unknown.
    pub unknown: u64,
    /// Anything else.
    pub failed: u64,
}

impl Counts {
    /// All of them.
    pub const fn total(&self) -> u64 {
        self.answered + self.retried_inside + self.retried_by_client + self.unknown + self.failed
    }
}

/// All requests of a run.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Mutex<Vec<Entry>>,
}

impl Ledger {
    /// Writes a request down.
    pub fn add(&self, entry: Entry) {
        self.entries().push(entry);
    }

    /// The requests that have ended so far, in the order in which they did.
    pub fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many requests have ended.
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Marks what was answered only because somebody sent it again for the client, as logs of the cluster say.
    pub fn mark_retried(&self, ids: &HashSet<u64>, cids: &HashSet<String>) {
        for entry in self.entries().iter_mut() {
            if entry.end == End::Answered && (ids.contains(&entry.id) || cids.contains(&entry.cid)) {
                entry.end = End::Retried;
                "sent again inside the cluster".clone_into(&mut entry.why);
            }
        }
    }

    /// Compares with what the service has recorded: gives ids with what is wrong about them, and how many were done twice.
    ///
    /// What was answered must be there once; what is unknown, or failed, at most once.
    pub fn check_record(&self, recorded: &BTreeMap<u64, u32>) -> (Vec<(u64, String)>, u64) {
        let mut wrong = Vec::new();
        let mut duplicates = 0;
        for entry in self.entries().iter_mut().filter(|entry| entry.kind.is_recorded()) {
            let times = recorded.get(&entry.id).copied().unwrap_or(0);
            if times > 1 {
                duplicates += 1;
                wrong.push((
                    entry.id,
                    format!("done {times} times; it ended as {:?}: {}", entry.end, entry.why),
                ));
            }
            if times == 0 && matches!(entry.end, End::Answered | End::Retried) {
                entry.end = End::Failed;
                "answered, but not done".clone_into(&mut entry.why);
                wrong.push((entry.id, entry.why.clone()));
            }
        }
        (wrong, duplicates)
    }

    /// Sums up.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for entry in self.entries().iter() {
            let count = match (entry.end, entry.repeats) {
                (End::Answered, _) => &mut counts.answered,
                (End::Retried, 0) => &mut counts.retried_inside,
                (End::Retried, _) => &mut counts.retried_by_client,
                (End::Unknown, _) => &mut counts.unknown,
                (End::Failed, _) => &mut counts.failed,
            };
            *count += 1;
        }
        counts
    }

    /// How often which reason was given for an end, with the kind of request and an example's id.
    pub fn reasons(&self, end: End) -> BTreeMap<(Kind, String), (u64, u64)> {
        let mut reasons = BTreeMap::new();
        for entry in self.entries().iter().filter(|entry| entry.end == end) {
            let reason = reasons.entry((entry.kind, entry.why.clone())).or_insert((0, entry.id));
            reason.0 += 1;
        }
        reasons
    }

    /// The durations of the requests that were due in this time, as far as they say something about the cluster.
    pub fn latencies(&self, due: &Range<Instant>) -> Latencies {
        let mut latencies = Latencies::default();
        let entries = self.entries();
        for entry in entries
            .iter()
            .filter(|entry| entry.kind.is_timed() && due.contains(&entry.due))
        {
            let duration = entry.ended.duration_since(entry.due);
            match entry.interval {
                Some(interval) => latencies.add_corrected(duration, interval),
                None => latencies.add(duration),
            }
        }
        latencies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u64, kind: Kind, end: End, repeats: u32) -> Entry {
        Entry {
            id,
            kind,
            via: Via::Http,
            due: Instant::now(),
            ended: Instant::now(),
            repeats,
            end,
            why: String::new(),
            cid: format!("cid-{id}"),
            interval: None,
        }
    }

    fn ledger(entries: impl IntoIterator<Item = Entry>) -> Ledger {
        let ledger = Ledger::default();
        entries.into_iter().for_each(|entry| ledger.add(entry));
        ledger
    }

    #[test]
    fn ends_are_counted_apart() {
        let ledger = ledger([
            entry(1, Kind::Get, End::Answered, 0),
            entry(2, Kind::Get, End::Answered, 0),
            entry(3, Kind::Get, End::Retried, 2),
            entry(4, Kind::Post, End::Unknown, 0),
            entry(5, Kind::Post, End::Failed, 1),
            entry(6, Kind::Get, End::Answered, 0),
        ]);
        ledger.mark_retried(&HashSet::from([1, 4]), &HashSet::from(["cid-6".to_owned()]));
        let counts = ledger.counts();
        let expected = Counts {
            answered: 1,
            retried_inside: 2,
            retried_by_client: 1,
            unknown: 1,
            failed: 1,
        };
        assert_eq!(counts, expected);
        assert_eq!(counts.total(), 6);
    }

    #[test]
    fn the_record_shows_what_was_done_twice_or_never() {
        let ledger = ledger([
            entry(1, Kind::Post, End::Answered, 0),
            entry(2, Kind::Post, End::Answered, 0),
            entry(3, Kind::Post, End::Unknown, 0),
            entry(4, Kind::Post, End::Unknown, 0),
            entry(5, Kind::Post, End::Retried, 1),
            entry(6, Kind::Get, End::Answered, 0),
        ]);
        let recorded = BTreeMap::from([(1, 1), (3, 1), (5, 2)]);
        let (wrong, duplicates) = ledger.check_record(&recorded);
        assert_eq!(duplicates, 1);
        assert_eq!(wrong.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [2, 5]);
        assert_eq!(ledger.counts().failed, 1, "answered and not done is a failure");
    }
}
