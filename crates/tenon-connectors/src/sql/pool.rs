//! Connections that are kept for the next call, whatever the database; how one is made and checked is its caller's business.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::connector::OutgoingError;

/// A pool of connections of type `C`.
#[derive(Debug)]
pub(super) struct Pool<C> {
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
pub(super) struct Slot<C> {
    shared: Arc<Shared<C>>,
    _permit: OwnedSemaphorePermit,
}

impl<C: Send + 'static> Pool<C> {
    /// An empty pool. Must be called within a tokio runtime.
    pub(super) fn new(connections_max: u32, idle_timeout: Duration) -> Self {
        let shared = Arc::new(Shared {
            idle: Mutex::new(Vec::new()),
            idle_timeout,
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
    pub(super) async fn slot(&self, deadline: Instant) -> Result<Slot<C>, OutgoingError> {
        let permit = timeout_at(deadline, Arc::clone(&self.permits).acquire_owned())
            .await
            .map_err(|_| {
                let max = self.connections_max;
                OutgoingError::Unavailable(format!(
                    "all {max} connections are in use, and none became free in time"
                ))
            })?;
        let permit = permit.map_err(|_| OutgoingError::Unavailable("the connection was closed".to_owned()))?;
        self.shared.in_use.fetch_add(1, Ordering::SeqCst);
        Ok(Slot {
            shared: Arc::clone(&self.shared),
            _permit: permit,
        })
    }

    /// Lets no more calls in and drops the connections that are idle.
    pub(super) fn close(&self) {
        self.shared.is_closed.store(true, Ordering::SeqCst);
        self.permits.close();
        self.shared.idle().clear();
        self.tasks.close();
    }

    /// Connections that exist, and those among them that are in use.
    pub(super) fn connections(&self) -> (usize, usize) {
        let in_use = self.shared.in_use.load(Ordering::SeqCst);
        (in_use + self.shared.idle().len(), in_use)
    }
}

impl<C> Slot<C> {
    /// The connection that was used last, and how long ago.
    pub(super) fn take_idle(&self) -> Option<(C, Duration)> {
        let idle = self.shared.idle().pop()?;
        Some((idle.connection, idle.since.elapsed()))
    }

    /// Drops all idle connections, because one of them was found dead.
    pub(super) fn drop_idle(&self) {
        self.shared.idle().clear();
    }

    /// Keeps a connection that works for the next call.
    pub(super) fn give_back(self, connection: C) {
        if !self.shared.is_closed.load(Ordering::SeqCst) {
            self.shared.idle().push(Idle {
                connection,
                since: Instant::now(),
            });
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
}

async fn close_idle<C>(shared: Arc<Shared<C>>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval((shared.idle_timeout / 2).max(Duration::from_millis(50)));
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if shared.is_closed.load(Ordering::SeqCst) {
            return;
        }
        shared.idle().retain(|idle| idle.since.elapsed() < shared.idle_timeout);
    }
    shared.is_closed.store(true, Ordering::SeqCst);
    shared.idle().clear();
}
