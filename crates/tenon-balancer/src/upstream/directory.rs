//! The list of servers with what is known of each; shared by all threads.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};

use super::ejection::{Conduct, EjectionPolicy};
use super::latency::Latency;
use super::table::weighted;
use super::{Health, Room, Server, ServerState, Table, Upstream, Upstreams};
use crate::kinds::{BalancerConfig, OperatorState};

/// One row: a server and how it is.
#[derive(Debug, Clone)]
struct Row {
    upstream: Arc<Upstream>,
    /// What the list of servers says.
    listed_weight: u32,
    state: ServerState,
    health: Health,
    missed: u32,
    /// Requests that it had answered at the last check that it did not answer.
    answers: u64,
    conduct: Conduct,
    /// When it came back after having been away; none if it never was, or long ago.
    back_since: Option<Instant>,
}

/// A server as its row has it.
#[derive(Debug)]
pub(crate) struct Surveyed {
    pub(crate) upstream: Arc<Upstream>,
    /// What the cluster says of it.
    pub(crate) state: ServerState,
    /// What the operator says of it.
    pub(crate) wanted: OperatorState,
    pub(crate) health: Health,
    pub(crate) weight: u32,
    /// How long it gets nothing still because it failed requests.
    pub(crate) ejected_for: Option<Duration>,
}

/// The servers.
#[derive(Debug)]
pub(crate) struct Directory {
    rows: Mutex<Rows>,
    table: ArcSwap<Table>,
    changed: watch::Sender<u64>,
    ids: AtomicU64,
    fall: u32,
    slow_start: Duration,
    room: Arc<Room>,
    ejections: AtomicU64,
}

#[derive(Debug, Default)]
struct Rows {
    servers: Vec<Row>,
    config: BalancerConfig,
}

const WEIGHT_MAX: u32 = 100;
/// Steps in which a server that came back gets its part again.
const RAMP: u32 = 10;

impl Directory {
    /// `fall` unanswered checks mean that a server is dead; one that comes back has its whole part after `slow_start`.
    pub(crate) fn new(fall: u32, slow_start: Duration) -> Self {
        Self {
            rows: Mutex::default(),
            table: ArcSwap::default(),
            changed: watch::Sender::new(0),
            ids: AtomicU64::new(1),
            fall: fall.max(1),
            slow_start,
            room: Arc::default(),
            ejections: AtomicU64::new(0),
        }
    }

    pub(crate) fn table(&self) -> arc_swap::Guard<Arc<Table>> {
        self.table.load()
    }

    /// Wakes at every change of the table.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Who waits for room at a server.
    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    /// How often servers were ejected.
    pub(crate) fn ejections(&self) -> u64 {
        self.ejections.load(Ordering::Relaxed)
    }

    pub(crate) fn upstreams(&self) -> Vec<Arc<Upstream>> {
        self.lock()
            .servers
            .iter()
            .map(|row| Arc::clone(&row.upstream))
            .collect()
    }

    /// Every server with all that is known of it.
    pub(crate) fn survey(&self, now: Instant) -> Vec<Surveyed> {
        let rows = self.lock();
        rows.servers
            .iter()
            .map(|row| Surveyed {
                upstream: Arc::clone(&row.upstream),
                state: row.state,
                wanted: rows.wanted(row).1,
                health: row.health,
                weight: rows.wanted(row).0,
                ejected_for: row.conduct.left(now),
            })
            .collect()
    }

    /// How a server is, as far as our own checks found.
    pub(crate) fn health(&self, id: u64) -> Option<Health> {
        let rows = self.lock();
        let row = rows.servers.iter().find(|row| row.upstream.id == id);
        row.map(|row| row.health)
    }

    /// Takes a new list; servers that stay keep what is known of them.
    pub(crate) fn replace(&self, list: &Upstreams) {
        let mut rows = self.lock();
        let next = list
            .servers
            .iter()
            .map(|server| {
                let known = rows
                    .servers
                    .iter()
                    .find(|row| row.upstream.name == server.name && row.upstream.endpoint == server.endpoint);
                let mut row = known.cloned().unwrap_or_else(|| self.new_row(server));
                row.listed_weight = server.weight.clamp(1, WEIGHT_MAX);
                row.state = server.state;
                row
            })
            .collect();
        rows.servers = next;
        self.publish(&rows, Instant::now());
    }

    /// Takes what an operator wants: the algorithm, weights and states of servers, limits, ejection.
    pub(crate) fn configure(&self, config: &BalancerConfig, now: Instant) {
        let mut rows = self.lock();
        let was_in_maintenance = |row: &Row| rows.wanted(row).1 == OperatorState::Maintenance;
        let before: Vec<bool> = rows.servers.iter().map(was_in_maintenance).collect();
        rows.config = config.clone();
        for (row, before) in rows.servers.iter().zip(before) {
            if !before && rows.wanted(row).1 == OperatorState::Maintenance {
                row.upstream.expelled.notify_waiters();
            }
        }
        if config.ejection.failures == 0 {
            rows.servers.iter_mut().for_each(|row| row.conduct = Conduct::default());
        }
        self.publish(&rows, now);
    }

    /// Notes the result of an active check: ready or not, or `None` for no answer in time.
    pub(crate) fn checked(&self, id: u64, ready: Option<bool>, now: Instant) {
        self.update(id, now, |row, fall| {
            if let Some(ready) = ready {
                row.missed = 0;
                row.upstream.silent.store(false, Ordering::Release);
                row.health = if ready { Health::Ready } else { Health::NotReady };
            } else {
                // Who answers requests but no check is busy, and does not count as dead.
                let answers = row.upstream.answers();
                let is_busy = std::mem::replace(&mut row.answers, answers) != answers;
                row.missed = if is_busy { 1 } else { row.missed.saturating_add(1) };
                row.health = if row.missed >= fall {
                    Health::Dead
                } else {
                    Health::Suspect
                };
                if row.missed == fall {
                    row.upstream.silent.store(true, Ordering::Release);
                    row.upstream.died.notify_waiters();
                }
            }
        });
    }

    /// Notes that the server refuses connections.
    pub(crate) fn refused(&self, id: u64, now: Instant) {
        self.update(id, now, |row, fall| {
            row.missed = fall + 1;
            row.health = Health::Dead;
        });
    }

    /// Notes an attempt that the server failed, though it may answer checks.
    pub(crate) fn failed(&self, id: u64, now: Instant) {
        let mut rows = self.lock();
        let policy = rows.policy();
        let can = |row: &Row| rows.is_ready(row);
        let able = rows.servers.iter().filter(|row| can(row)).count();
        let ejected = rows
            .servers
            .iter()
            .filter(|row| can(row) && row.conduct.is_ejected())
            .count();
        let Some(row) = rows.servers.iter_mut().find(|row| row.upstream.id == id) else {
            return;
        };
        let bad = row.conduct.failed(&policy, row.upstream.answers(), now);
        // With two servers one may be ejected, whatever the percentage; the last one never is.
        let within = ejected == 0 || (ejected + 1) * 100 <= able * policy.max_percent as usize;
        if !bad || policy.max_percent == 0 || !within || able < ejected + 2 {
            return;
        }
        if let Some(since) = row.back_since {
            row.conduct.forget(since, now);
        }
        let time = row.conduct.eject(&policy, now);
        self.ejections.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(server = %row.upstream.name, seconds = time.as_secs_f64(), "a server failed too many requests and gets none for a while");
        self.publish(&rows, now);
    }

    /// Does what is due: takes ejected servers back, gives those that came back more; to be called every second or so.
    pub(crate) fn refresh(&self, now: Instant) {
        let mut rows = self.lock();
        let mut changed = false;
        for row in &mut rows.servers {
            row.upstream.latency.turn(now);
            if row.conduct.forgive(now) {
                tracing::info!(server = %row.upstream.name, "a server that failed requests gets some again");
                row.back_since = Some(now);
                changed = true;
            }
            changed |= ramp(row, self.slow_start, now) < RAMP;
            if row
                .back_since
                .is_some_and(|since| now.saturating_duration_since(since) >= self.slow_start)
            {
                changed |= row.back_since.take().is_some() && !self.slow_start.is_zero();
            }
        }
        if changed {
            self.publish(&rows, now);
        }
    }

    fn update(&self, id: u64, now: Instant, change: impl FnOnce(&mut Row, u32)) {
        let mut rows = self.lock();
        let Some(row) = rows.servers.iter_mut().find(|row| row.upstream.id == id) else {
            return;
        };
        let before = row.health;
        change(row, self.fall);
        if row.health == before {
            return;
        }
        if row.health == Health::Ready && matches!(before, Health::Dead | Health::NotReady) {
            row.back_since = Some(now);
        }
        tracing::info!(server = %row.upstream.name, from = ?before, to = ?row.health, "health of a server changed");
        self.publish(&rows, now);
    }

    fn new_row(&self, server: &Server) -> Row {
        Row {
            upstream: Arc::new(Upstream {
                id: self.ids.fetch_add(1, Ordering::Relaxed),
                name: server.name.clone(),
                endpoint: server.endpoint.clone(),
                in_flight: AtomicUsize::new(0),
                requests: AtomicU64::new(0),
                failures: AtomicU64::new(0),
                classes: std::array::from_fn(|_| AtomicU64::new(0)),
                latency: Latency::default(),
                died: Notify::new(),
                silent: AtomicBool::new(false),
                expelled: Notify::new(),
                room: Arc::clone(&self.room),
            }),
            listed_weight: 1,
            state: server.state,
            health: Health::Unknown,
            missed: 0,
            answers: 0,
            conduct: Conduct::default(),
            back_since: None,
        }
    }

    fn publish(&self, rows: &Rows, now: Instant) {
        let ready: Vec<&Row> = rows
            .servers
            .iter()
            .filter(|row| rows.is_ready(row) && !row.conduct.is_ejected())
            .collect();
        let ramping = ready.iter().any(|row| ramp(row, self.slow_start, now) < RAMP);
        let ready: Vec<(Arc<Upstream>, u32)> = ready
            .into_iter()
            .map(|row| {
                let scale = if ramping { ramp(row, self.slow_start, now) } else { 1 };
                (Arc::clone(&row.upstream), rows.wanted(row).0 * scale)
            })
            .collect();
        let alive: Vec<&Row> = rows.servers.iter().filter(|row| rows.is_alive(row)).collect();
        let limit = |limit: Option<u64>| limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let table = Table {
            round: weighted(&ready),
            ready,
            alive: alive.iter().map(|row| Arc::clone(&row.upstream)).collect(),
            pooled: alive.iter().map(|row| row.upstream.id).collect(),
            algorithm: rows.config.algorithm,
            per_server_max: limit(rows.config.in_flight_per_server_max),
            queue_max: limit(Some(rows.config.queue_max)),
            queue_timeout: rows.config.queue_timeout.0,
        };
        self.table.store(Arc::new(table));
        self.changed.send_modify(|version| *version += 1);
        self.room.freed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    /// Weight and state that are wanted of a server: what the operator says, or else the list.
    fn wanted(&self, row: &Row) -> (u32, OperatorState) {
        let said = self
            .config
            .servers
            .iter()
            .find(|server| server.name == row.upstream.name);
        said.map_or((row.listed_weight, OperatorState::In), |server| {
            (server.weight.clamp(1, WEIGHT_MAX), server.state)
        })
    }

    /// Whether it could take requests, if it does not fail them.
    fn is_ready(&self, row: &Row) -> bool {
        row.state == ServerState::Ready && row.health == Health::Ready && self.wanted(row).1 == OperatorState::In
    }

    fn is_alive(&self, row: &Row) -> bool {
        row.state != ServerState::Draining
            && self.wanted(row).1 == OperatorState::In
            && matches!(row.health, Health::Ready | Health::NotReady | Health::Suspect)
    }

    fn policy(&self) -> EjectionPolicy {
        let config = &self.config.ejection;
        EjectionPolicy {
            failures: config.failures,
            window: config.window.0,
            time: config.time.0,
            max_percent: config.max_percent,
        }
    }
}

/// How much of its part a server gets, in steps.
fn ramp(row: &Row, slow_start: Duration, now: Instant) -> u32 {
    let Some(since) = row.back_since.filter(|_| !slow_start.is_zero()) else {
        return RAMP;
    };
    let passed = now.saturating_duration_since(since).as_millis() * u128::from(RAMP) / slow_start.as_millis().max(1);
    u32::try_from(passed).map_or(RAMP, |step| (step + 1).min(RAMP))
}
