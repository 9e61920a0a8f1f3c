//! The servers that requests go to: how each one is, and which is next. No I/O.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

/// Where a server takes requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    /// A Unix socket on this host.
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
}

/// What the cluster, or an operator, says of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerState {
    /// It takes requests, if our own check agrees.
    Ready,
    /// It takes none now, unless no server is ready.
    NotReady,
    /// It gets nothing new.
    Draining,
}

/// A server as the follower, or a test, describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Its name in the cluster.
    pub name: String,
    /// Where it takes requests.
    pub endpoint: Endpoint,
    /// Its part of the requests, relative to the others; 0 counts as 1.
    pub weight: u32,
    /// What the cluster says of it.
    pub state: ServerState,
}

/// All servers of the cluster, replaced as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstreams {
    /// The servers, in the order of the round.
    pub servers: Vec<Server>,
}

/// What our own checks found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// Not asked yet.
    Unknown,
    /// It says that it is ready.
    Ready,
    /// It answers, but says that it is not ready.
    NotReady,
    /// It failed to answer in time, but not often enough to count as dead.
    Suspect,
    /// It can't be connected to, or did not answer several times.
    Dead,
}

/// One server while it is in the list.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Never used twice, so that a pool can't mix up two servers of one name.
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) endpoint: Endpoint,
    pub(crate) in_flight: AtomicUsize,
    pub(crate) requests: AtomicU64,
    pub(crate) failures: AtomicU64,
    /// Told when the server has fallen silent: whoever waits for an answer of it should not. A server that only refuses
    /// connections is not silent: it may be finishing what it has.
    pub(crate) died: Notify,
    silent: AtomicBool,
}

impl Upstream {
    /// Whether it was found to answer nothing any more, not even checks.
    pub(crate) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Acquire)
    }
}

/// One row of the table: a server, how it is, and its weight.
#[derive(Debug, Clone)]
struct Row {
    upstream: Arc<Upstream>,
    weight: u32,
    state: ServerState,
    health: Health,
    missed: u32,
}

/// Whom requests may go to, made anew whenever a server changes.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Ready servers, as often as their weight says.
    pub(crate) ready: Vec<Arc<Upstream>>,
    /// Servers that are alive, for when none is ready.
    pub(crate) alive: Vec<Arc<Upstream>>,
    /// Every server that keeps connections.
    pub(crate) pooled: Vec<u64>,
}

impl Table {
    /// The next server that was not tried yet.
    pub(crate) fn pick(&self, turn: &AtomicUsize, tried: &[u64]) -> Option<Arc<Upstream>> {
        let start = turn.fetch_add(1, Ordering::Relaxed);
        [&self.ready, &self.alive].into_iter().find_map(|group| {
            (0..group.len())
                .map(|step| &group[start.wrapping_add(step) % group.len()])
                .find(|upstream| !tried.contains(&upstream.id))
                .cloned()
        })
    }
}

/// The list of servers with what is known of each; shared by all threads.
#[derive(Debug)]
pub(crate) struct Directory {
    rows: Mutex<Vec<Row>>,
    table: ArcSwap<Table>,
    changed: watch::Sender<u64>,
    ids: AtomicU64,
    fall: u32,
}

const WEIGHT_MAX: u32 = 100;

impl Directory {
    pub(crate) fn new(fall: u32) -> Self {
        Self {
            rows: Mutex::default(),
            table: ArcSwap::default(),
            changed: watch::Sender::new(0),
            ids: AtomicU64::new(1),
            fall: fall.max(1),
        }
    }

    pub(crate) fn table(&self) -> arc_swap::Guard<Arc<Table>> {
        self.table.load()
    }

    /// Wakes at every change of the table.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn upstreams(&self) -> Vec<Arc<Upstream>> {
        self.lock().iter().map(|row| Arc::clone(&row.upstream)).collect()
    }

    /// Every server with its state, health and weight.
    pub(crate) fn survey(&self) -> Vec<(Arc<Upstream>, ServerState, Health, u32)> {
        self.lock()
            .iter()
            .map(|row| (Arc::clone(&row.upstream), row.state, row.health, row.weight))
            .collect()
    }

    /// Takes a new list; servers that stay keep what is known of them.
    pub(crate) fn replace(&self, list: &Upstreams) {
        let mut rows = self.lock();
        let next = list
            .servers
            .iter()
            .map(|server| {
                let known = rows
                    .iter()
                    .find(|row| row.upstream.name == server.name && row.upstream.endpoint == server.endpoint);
                let mut row = known.cloned().unwrap_or_else(|| self.new_row(server));
                row.weight = server.weight.clamp(1, WEIGHT_MAX);
                row.state = server.state;
                row
            })
            .collect();
        *rows = next;
        self.publish(&rows);
    }

    /// Notes the result of an active check: ready or not, or `None` for no answer in time.
    pub(crate) fn checked(&self, id: u64, ready: Option<bool>) {
        self.update(id, |row, fall| {
            if let Some(ready) = ready {
                row.missed = 0;
                row.upstream.silent.store(false, Ordering::Release);
                row.health = if ready { Health::Ready } else { Health::NotReady };
            } else {
                row.missed = row.missed.saturating_add(1);
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
    pub(crate) fn refused(&self, id: u64) {
        self.update(id, |row, fall| {
            row.missed = fall + 1;
            row.health = Health::Dead;
        });
    }

    fn update(&self, id: u64, change: impl FnOnce(&mut Row, u32)) {
        let mut rows = self.lock();
        let Some(row) = rows.iter_mut().find(|row| row.upstream.id == id) else {
            return;
        };
        let before = row.health;
        change(row, self.fall);
        if row.health == before {
            return;
        }
        tracing::info!(server = %row.upstream.name, from = ?before, to = ?row.health, "health of a server changed");
        self.publish(&rows);
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
                died: Notify::new(),
                silent: AtomicBool::new(false),
            }),
            weight: 1,
            state: server.state,
            health: Health::Unknown,
            missed: 0,
        }
    }

    fn publish(&self, rows: &[Row]) {
        let is_ready = |row: &&Row| row.state == ServerState::Ready && row.health == Health::Ready;
        let is_alive = |row: &&Row| {
            row.state != ServerState::Draining
                && matches!(row.health, Health::Ready | Health::NotReady | Health::Suspect)
        };
        let table = Table {
            ready: weighted(&rows.iter().filter(is_ready).collect::<Vec<_>>()),
            alive: rows
                .iter()
                .filter(is_alive)
                .map(|row| Arc::clone(&row.upstream))
                .collect(),
            pooled: rows.iter().filter(is_alive).map(|row| row.upstream.id).collect(),
        };
        self.table.store(Arc::new(table));
        self.changed.send_modify(|version| *version += 1);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A round in which each server comes as often as its weight says, spread as evenly as possible.
fn weighted(rows: &[&Row]) -> Vec<Arc<Upstream>> {
    let divisor = rows.iter().fold(0, |divisor, row| gcd(divisor, row.weight)).max(1);
    let weights: Vec<i64> = rows.iter().map(|row| i64::from(row.weight / divisor)).collect();
    let total: i64 = weights.iter().sum();
    let mut credits = vec![0_i64; rows.len()];
    (0..total)
        .filter_map(|_| {
            for (credit, weight) in credits.iter_mut().zip(&weights) {
                *credit += weight;
            }
            let best = (0..credits.len()).rev().max_by_key(|index| credits[*index])?;
            credits[best] -= total;
            Some(Arc::clone(&rows[best].upstream))
        })
        .collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Counts a request of a server as in flight while it lives.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Upstream>);

impl InFlight {
    pub(crate) fn new(upstream: &Arc<Upstream>) -> Self {
        upstream.in_flight.fetch_add(1, Ordering::Relaxed);
        upstream.requests.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(upstream))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str, weight: u32, state: ServerState) -> Server {
        Server {
            name: name.into(),
            endpoint: Endpoint::Tcp(format!("{name}:1")),
            weight,
            state,
        }
    }

    fn picks(directory: &Directory, count: usize) -> Vec<String> {
        let turn = AtomicUsize::new(0);
        let table = directory.table();
        (0..count)
            .filter_map(|_| table.pick(&turn, &[]).map(|upstream| upstream.name.clone()))
            .collect()
    }

    #[test]
    fn requests_go_round_the_ready_servers_by_weight() {
        let directory = Directory::new(2);
        directory.replace(&Upstreams {
            servers: vec![
                server("a", 4, ServerState::Ready),
                server("b", 2, ServerState::Ready),
                server("c", 1, ServerState::NotReady),
            ],
        });
        assert_eq!(
            picks(&directory, 1),
            Vec::<String>::new(),
            "nobody is known to be alive yet"
        );
        for upstream in directory.upstreams() {
            directory.checked(upstream.id, Some(true));
        }
        assert_eq!(picks(&directory, 6), ["a", "b", "a", "a", "b", "a"]);
    }

    #[test]
    fn without_a_ready_server_those_alive_are_used_and_draining_ones_never() {
        let directory = Directory::new(2);
        directory.replace(&Upstreams {
            servers: vec![
                server("a", 1, ServerState::NotReady),
                server("b", 1, ServerState::Ready),
                server("c", 1, ServerState::Draining),
            ],
        });
        let ids: Vec<u64> = directory.upstreams().iter().map(|upstream| upstream.id).collect();
        directory.checked(ids[0], Some(true));
        directory.checked(ids[1], None);
        directory.checked(ids[2], Some(true));
        assert_eq!(picks(&directory, 4), ["a", "b", "a", "b"]);
        directory.checked(ids[1], None);
        assert_eq!(picks(&directory, 2), ["a", "a"]);
        directory.refused(ids[0]);
        assert_eq!(picks(&directory, 2), Vec::<String>::new());
    }
}
