//! This server's share of one limit.
//!
//! Requests are let through from what was taken of the store before. When that is used up, one request takes more and the
//! others wait for it. How much is taken follows how fast it is used, and is never so much that what lies unused here could
//! keep the cluster more than a few hundredths below its limit: at most a fortieth of what is left, divided by the servers.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tenon_store::{QuotaKind, QuotaSpec};
use tokio::sync::watch;
use tokio::time::Instant;

use super::meters::Meters;
use super::rules::{count, float};

/// A batch that lasts less is doubled, one that lasts four times as long is halved.
const BATCH_LASTS: Duration = Duration::from_millis(50);
/// How long the store is not asked again, at least, when it had nothing left.
const PAUSE_MIN: Duration = Duration::from_millis(5);
/// The part of what is left that all servers together may hold unused.
const UNUSED_PARTS: u64 = 40;
/// The part of the whole limit below which it does not matter what is unused.
const NEGLIGIBLE_PARTS: u64 = 400;
/// A share of a bucket that lies unused for longer is given up: the bucket would have overflown.
const HELD_MAX: Duration = Duration::from_secs(10);
/// A counter that was used within this time is kept.
const LATELY: Duration = Duration::from_mins(1);

/// One limit's share.
#[derive(Debug)]
pub(super) struct Allotment {
    key: String,
    spec: QuotaSpec,
    state: Mutex<State>,
    /// Counts the takes that have ended.
    takes: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    held: u64,
    /// What was left in the store at the last take.
    left: u64,
    /// When the window ends, or the bucket is full again.
    reset_at: Instant,
    /// Until when there is nothing to be had.
    empty_until: Option<Instant>,
    taken_at: Instant,
    batch: u64,
    is_taking: bool,
    /// Requests that wait for the take that runs.
    waiting: u64,
    /// Those that waited for the last one and have not looked again yet.
    woken: u64,
    used_at: Instant,
}

/// How a limit stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Whether the request may go on.
    pub(super) is_within: bool,
    /// How many more may come now.
    pub(super) remaining: u64,
    /// When the limit is whole again.
    pub(super) reset: Duration,
    /// If it may not go on: when it is worth trying again.
    pub(super) retry_after: Duration,
}

/// What a request does next.
enum Step {
    Done(Standing),
    Take(u64),
    Wait(watch::Receiver<u64>),
}

impl Allotment {
    pub(super) fn new(key: String, spec: QuotaSpec) -> Self {
        let now = Instant::now();
        Self {
            key,
            spec,
            state: Mutex::new(State {
                held: 0,
                left: whole(spec),
                reset_at: now,
                empty_until: None,
                taken_at: now,
                batch: 1,
                is_taking: false,
                waiting: 0,
                woken: 0,
                used_at: now,
            }),
            takes: watch::Sender::new(0),
        }
    }

    pub(super) fn spec(&self) -> QuotaSpec {
        self.spec
    }

    pub(super) fn was_used_lately(&self) -> bool {
        self.state().used_at.elapsed() < LATELY
    }

    /// Lets one request through, or says that the limit is reached.
    pub(super) async fn use_one(&self, meters: &Meters) -> Standing {
        let mut has_waited = false;
        loop {
            match self.next_step(meters.servers(), has_waited) {
                Step::Done(standing) => return standing,
                Step::Wait(mut takes) => {
                    has_waited = true;
                    // The sender lives as long as this.
                    let _ = takes.changed().await;
                }
                Step::Take(wanted) => {
                    has_waited = false;
                    let asked_at = Instant::now();
                    let unfinished = Unfinished(self);
                    let grant = meters.take(&self.key, self.spec, wanted).await;
                    let mut state = self.state();
                    // Times count from before the store was asked, so that a window never seems to last longer than it does.
                    state.held += grant.granted;
                    state.left = grant.remaining;
                    state.taken_at = asked_at;
                    state.reset_at = asked_at + Duration::from_millis(grant.reset_ms);
                    state.empty_until = (grant.granted < wanted)
                        .then(|| asked_at + Duration::from_millis(grant.retry_after_ms).max(PAUSE_MIN));
                    drop(state);
                    drop(unfinished);
                }
            }
        }
    }

    /// Gives back what a request took that another limit did not let through.
    pub(super) fn give_back(&self) {
        self.state().held += 1;
    }

    fn next_step(&self, servers: u64, has_waited: bool) -> Step {
        let now = Instant::now();
        let mut state = self.state();
        state.used_at = now;
        state.woken = state.woken.saturating_sub(u64::from(has_waited));
        state.expire(self.spec, now);
        if state.held > 0 {
            state.held -= 1;
            return Step::Done(state.standing(true, now));
        }
        if state.empty_until.is_some_and(|until| now < until) {
            return Step::Done(state.standing(false, now));
        }
        if state.is_taking {
            state.waiting += 1;
            return Step::Wait(self.takes.subscribe());
        }
        state.is_taking = true;
        state.adapt(self.spec, servers, now);
        let wanted = state.batch.max(1 + state.woken);
        Step::Take(wanted)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a take, also of a request that is given up in the middle of it.
struct Unfinished<'a>(&'a Allotment);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_taking = false;
        state.woken = std::mem::take(&mut state.waiting);
        drop(state);
        self.0.takes.send_modify(|takes| *takes += 1);
    }
}

impl State {
    /// Forgets what the time has made void.
    fn expire(&mut self, spec: QuotaSpec, now: Instant) {
        let is_void = match spec.kind {
            QuotaKind::FixedWindow { .. } => now >= self.reset_at,
            QuotaKind::TokenBucket { .. } => now.duration_since(self.taken_at) > HELD_MAX,
        };
        if is_void {
            self.held = 0;
            self.empty_until = None;
            self.left = whole(spec);
        }
    }

    /// Decides how much is taken next.
    fn adapt(&mut self, spec: QuotaSpec, servers: u64, now: Instant) {
        let lasted = now.duration_since(self.taken_at);
        if lasted < BATCH_LASTS {
            self.batch = self.batch.saturating_mul(2);
        } else if lasted > BATCH_LASTS * 4 {
            self.batch /= 2;
        }
        let unused_max = (self.left / (UNUSED_PARTS * servers)).max(whole(spec) / (NEGLIGIBLE_PARTS * servers));
        // What a bucket gains in a pause is there to be taken by somebody.
        let gained = match spec.kind {
            QuotaKind::TokenBucket { rate_per_second, .. } => {
                count((rate_per_second * PAUSE_MIN.as_secs_f64() / float(servers)).ceil())
            }
            QuotaKind::FixedWindow { .. } => 1,
        };
        self.batch = self.batch.min(unused_max).max(gained).max(1);
    }

    fn standing(&self, is_within: bool, now: Instant) -> Standing {
        let reset = self.reset_at.saturating_duration_since(now);
        let retry_after = self
            .empty_until
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        Standing {
            is_within,
            remaining: if is_within {
                self.held.saturating_add(self.left)
            } else {
                0
            },
            reset,
            retry_after: if is_within { Duration::ZERO } else { retry_after },
        }
    }
}

/// How many a limit has when nobody has used it.
fn whole(spec: QuotaSpec) -> u64 {
    match spec.kind {
        QuotaKind::TokenBucket { burst, .. } => count(burst),
        QuotaKind::FixedWindow { limit, .. } => limit,
    }
}
