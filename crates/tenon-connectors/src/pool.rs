//! Connections that are kept for the next call, whatever the technology; how one is made is its caller's business.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::connector::OutgoingError;

/// A pool of connections of type `C`. They end when it is dropped.
#[derive(Debug)]
pub(crate) struct Pool<C> {
    shared: Arc<Shared<C>>,
    permits: Arc<Semaphore>,
    connections_max: u32,
    /// Tasks that work for its connections.
    pub tasks: TaskTracker,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Shared<C> {
    idle: Mutex<Vec<Idle<C>>>,
    idle_timeout: Duration,
    /// What a connection itself knows of whether it can be used again.
    is_alive: fn(&C) -> bool,
    in_use: AtomicUsize,
    is_closed: AtomicBool,
}

#[derive(Debug)]
struct Idle<C> {
    connection: C,
    since: Instant,
}

/// The right to use one connection. It counts until it is dropped or the connection given back.
#[derive(Debug)]
pub(crate) struct Slot<C> {
    shared: Arc<Shared<C>>,
    _permit: OwnedSemaphorePermit,
}

/// Why no connection may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoSlot {
    /// None became free by the deadline.
    #[error("all {0} connections are in use, and none became free in time")]
    AllInUse(u32),
    /// The pool was closed by its owner.
    #[error("the connection was closed")]
    Closed,
}

impl From<NoSlot> for OutgoingError {
    fn from(reason: NoSlot) -> Self {
        Self::Unavailable(reason.to_string())
    }
}

impl<C: Send + 'static> Pool<C> {
    /// An empty pool. Must be called within a tokio runtime.
    pub(crate) fn new(connections_max: u32, idle_timeout: Duration, is_alive: fn(&C) -> bool) -> Self {
        let shared = Arc::new(Shared {
            idle: Mutex::new(Vec::new()),
            idle_timeout,
            is_alive,
            in_use: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
        });
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(close_idle(Arc::clone(&shared), stop.clone()));
        Self {
            shared,
            permits: Arc::new(Semaphore::new(connections_max as usize)),
            connections_max,
            tasks,
            _stop: stop.drop_guard(),
        }
    }

    /// Waits until a connection may be used.
    pub(crate) async fn slot(&self, deadline: Instant) -> Result<Slot<C>, NoSlot> {
        let permit = timeout_at(deadline, Arc::clone(&self.permits).acquire_owned())
            .await
            .map_err(|_| NoSlot::AllInUse(self.connections_max))?
            .map_err(|_| NoSlot::Closed)?;
        self.shared.in_use.fetch_add(1, Ordering::SeqCst);
        Ok(Slot {
            shared: Arc::clone(&self.shared),
            _permit: permit,
        })
    }

    /// Lets no more calls in and drops the connections that are idle.
    pub(crate) fn close(&self) {
        self.shared.is_closed.store(true, Ordering::SeqCst);
        self.permits.close();
        self.shared.idle().clear();
        self.tasks.close();
    }

    /// For [`Operations::status`](crate::connection::Operations::status).
    pub(crate) fn status(&self) -> Map<String, Value> {
        let in_use = self.shared.in_use.load(Ordering::SeqCst);
        Map::from_iter([
            ("connections_max".to_owned(), self.connections_max.into()),
            (
                "connections_open".to_owned(),
                (in_use + self.shared.idle().len()).into(),
            ),
            ("connections_in_use".to_owned(), in_use.into()),
        ])
    }
}

impl<C> Slot<C> {
    /// The connection that was used last among those that are alive, and how long ago.
    pub(crate) fn take_idle(&self) -> Option<(C, Duration)> {
        loop {
            let idle = self.shared.idle().pop()?;
            if self.shared.is_usable(&idle) {
                return Some((idle.connection, idle.since.elapsed()));
            }
        }
    }

    /// Drops all idle connections, because one of them was found dead.
    pub(crate) fn drop_idle(&self) {
        self.shared.idle().clear();
    }

    /// Keeps a connection for the next call, if it is alive.
    pub(crate) fn give_back(self, connection: C) {
        let idle = Idle {
            connection,
            since: Instant::now(),
        };
        if self.shared.is_usable(&idle) && !self.shared.is_closed.load(Ordering::SeqCst) {
            self.shared.idle().push(idle);
        }
    }
}

impl<C> Drop for Slot<C> {
    fn drop(&mut self) {
        self.shared.in_use.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<C> Shared<C> {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle<C>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_usable(&self, idle: &Idle<C>) -> bool {
        (self.is_alive)(&idle.connection) && idle.since.elapsed() < self.idle_timeout
    }
}

async fn close_idle<C>(shared: Arc<Shared<C>>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval((shared.idle_timeout / 2).max(Duration::from_millis(50)));
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if shared.is_closed.load(Ordering::SeqCst) {
            return;
        }
        shared.idle().retain(|idle| shared.is_usable(idle));
    }
    shared.is_closed.store(true, Ordering::SeqCst);
    shared.idle().clear();
}
