//! The counters of this server: where they get their shares from, and what holds while the store can't be reached.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tenon_model::{Clock, MemberState, Role};
use tenon_store::{QuotaGrant, QuotaKind, QuotaSpec, Quotas, Store, StoreError};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::allotment::Allotment;
use super::rules::{count, float};

/// How long the store may take to give a share; a request waits for it.
const TAKE_TIMEOUT: Duration = Duration::from_millis(300);
/// How long the store is left alone after it could not be reached.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// Counters that are kept at most; those of addresses not seen lately go first.
const ALLOTMENTS_MAX: usize = 100_000;
/// How often is looked how many servers there are.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Gives shares of limits that all servers of a cluster have together.
#[async_trait]
pub(crate) trait QuotaSource: Send + Sync + 'static {
    /// Takes of a quota: as many as are wanted, or what is left.
    async fn take(&self, key: &str, spec: QuotaSpec, wanted: u64) -> Result<QuotaGrant, StoreError>;
}

#[async_trait]
impl QuotaSource for Store {
    async fn take(&self, key: &str, spec: QuotaSpec, wanted: u64) -> Result<QuotaGrant, StoreError> {
        self.take_quota(key, spec, wanted).await
    }
}

/// All counters of this server.
pub(crate) struct Meters {
    source: Box<dyn QuotaSource>,
    clock: Arc<dyn Clock>,
    /// What holds while the source can't be reached.
    local: Quotas,
    servers: AtomicU64,
    source_down_until: Mutex<Option<Instant>>,
    allotments: Mutex<HashMap<String, Arc<Allotment>>>,
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meters")
    }
}

impl Meters {
    /// Counters that take their shares from the store.
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self::with_source(Box::new(store), clock)
    }

    pub(crate) fn with_source(source: Box<dyn QuotaSource>, clock: Arc<dyn Clock>) -> Self {
        Self {
            source,
            clock,
            local: Quotas::new(ALLOTMENTS_MAX),
            servers: AtomicU64::new(1),
            source_down_until: Mutex::default(),
            allotments: Mutex::default(),
        }
    }

    /// The clock that rules go by.
    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// How many servers share the limits; at least one.
    pub(super) fn servers(&self) -> u64 {
        self.servers.load(Ordering::Relaxed)
    }

    pub(super) fn set_servers(&self, servers: u64) {
        self.servers.store(servers.max(1), Ordering::Relaxed);
    }

    /// The counter of a key. One whose numbers changed begins anew.
    pub(super) fn allotment(&self, key: &str, spec: QuotaSpec) -> Arc<Allotment> {
        let mut allotments = lock(&self.allotments);
        if let Some(known) = allotments.get(key).filter(|known| known.spec() == spec) {
            return Arc::clone(known);
        }
        if allotments.len() >= ALLOTMENTS_MAX {
            make_room(&mut allotments);
        }
        let made = Arc::new(Allotment::new(key.to_owned(), spec));
        allotments.insert(key.to_owned(), Arc::clone(&made));
        made
    }

    /// Takes a share from the store, or, while that can't be reached, of this server's part of the limit.
    pub(super) async fn take(&self, key: &str, spec: QuotaSpec, wanted: u64) -> QuotaGrant {
        let is_down = lock(&self.source_down_until).is_some_and(|until| Instant::now() < until);
        if !is_down {
            match timeout(TAKE_TIMEOUT, self.source.take(key, spec, wanted)).await {
                Ok(Ok(grant)) => return grant,
                failed => self.note_down(&failed.map_or_else(|_| "no answer in time".to_owned(), reason)),
            }
        }
        self.take_locally(key, spec, wanted)
    }

    fn note_down(&self, reason: &str) {
        let mut down_until = lock(&self.source_down_until);
        if down_until.is_none_or(|until| Instant::now() >= until) {
            tracing::warn!("the store gives no shares of rate limits ({reason}); this server goes by its part of them");
        }
        *down_until = Some(Instant::now() + STORE_PAUSE);
    }

    fn take_locally(&self, key: &str, spec: QuotaSpec, wanted: u64) -> QuotaGrant {
        let part = part_of(spec, self.servers());
        let grant = self.local.take(key.to_owned(), part, wanted, self.clock.now());
        // Only a limit that could not have been defined is an error: it lets through.
        grant.unwrap_or(QuotaGrant {
            granted: wanted,
            remaining: 0,
            retry_after_ms: 0,
            reset_ms: 0,
        })
    }
}

fn reason(result: Result<QuotaGrant, StoreError>) -> String {
    result.err().map(|error| error.to_string()).unwrap_or_default()
}

/// One server's part of a limit that so many share; at least one request.
fn part_of(spec: QuotaSpec, servers: u64) -> QuotaSpec {
    let kind = match spec.kind {
        QuotaKind::TokenBucket { rate_per_second, burst } => QuotaKind::TokenBucket {
            rate_per_second: rate_per_second / float(servers),
            burst: (burst / float(servers)).max(1.0),
        },
        QuotaKind::FixedWindow { limit, unit } => QuotaKind::FixedWindow {
            limit: count((float(limit) / float(servers)).round()).max(1),
            unit,
        },
    };
    QuotaSpec { kind }
}

/// Forgets counters that nobody uses: the store knows what was taken. What they still hold is lost.
fn make_room(allotments: &mut HashMap<String, Arc<Allotment>>) {
    allotments.retain(|_, allotment| Arc::strong_count(allotment) > 1 || allotment.was_used_lately());
    if allotments.len() >= ALLOTMENTS_MAX {
        allotments.retain(|_, allotment| Arc::strong_count(allotment) > 1);
    }
}

/// Keeps the number of servers right until `stop`.
pub(crate) async fn follow_servers(meters: Arc<Meters>, store: Store, stop: CancellationToken) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        let Some(members) = stop.run_until_cancelled(store.members()).await else {
            return;
        };
        // Without the store, the number known last stays.
        let Ok(members) = members else { continue };
        let serving = members.iter().filter(|member| {
            member.role == Role::Server
                && matches!(
                    member.state,
                    MemberState::Ready | MemberState::NotReady | MemberState::Starting | MemberState::Draining
                )
        });
        meters.set_servers(serving.count() as u64);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
