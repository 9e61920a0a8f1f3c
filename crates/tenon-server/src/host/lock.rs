//! `lock`: locks of the whole cluster, held by a call until it ends, its worker or its server dies, or their time is over.
//!
//! The store says who has a lock. Here are those who wait for one: of the calls of this server that want the same lock one asks
//! the store, the others stand in line behind it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde_json::{Value, json};
use tenon_model::InstanceId;
use tenon_store::{Event, Events, LockTry, Store, StoreError};
use tokio::sync::Mutex as FairMutex;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use super::{Host, HostFailure, HostResult, described, millis, needed};
use crate::call::HostCall;

/// How long a lock is held if its caller says nothing.
const TTL: Duration = Duration::from_secs(20);
/// How often who waits asks again although nothing told that the lock is free.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How many lines are kept before those in which nobody stands are forgotten.
const LINES_KEPT: usize = 1_000;

impl Host {
    /// One action on one lock.
    pub(super) async fn lock(&self, call: HostCall) -> HostResult {
        let request = &call.request;
        let name = needed(request, "name")?;
        let ttl = millis(request, "ttl_ms").unwrap_or(TTL).min(self.locks.ttl_max);
        if ttl.is_zero() {
            return Err(HostFailure::bad_request("a lock is held for longer than 0 ms"));
        }
        let token = request.get("token").and_then(Value::as_u64).unwrap_or(0);
        match needed(request, "action")? {
            "acquire" => {
                let block = millis(request, "block_ms").unwrap_or(Duration::ZERO);
                let until = call.deadline.min(Instant::now() + block);
                let token = self.locks.acquire(call.call_id, name, ttl, until).await?;
                Ok(described(json!({ "acquired": token.is_some(), "token": token })))
            }
            "renew" => {
                let lock = self.store.renew_lock(name, token, as_millis(ttl)).await?;
                Ok(described(json!({ "acquired": lock.is_some(), "token": token })))
            }
            "release" => {
                let was_held = self.locks.release(call.call_id, name, token).await?;
                Ok(described(json!({ "acquired": was_held, "token": token })))
            }
            other => Err(HostFailure::bad_request(format!("a lock has no action '{other}'"))),
        }
    }
}

/// The locks that calls of this server hold, and those who wait for one.
#[derive(Debug)]
pub(crate) struct Locks {
    store: Store,
    server: String,
    instance: InstanceId,
    ttl_max: Duration,
    tasks: TaskTracker,
    /// Names and tokens by the call that holds them; an entry is there as long as the call runs.
    held: Mutex<HashMap<u64, Vec<(String, u64)>>>,
    /// Who waits for the lock of a name, in their order.
    lines: Mutex<HashMap<String, Weak<FairMutex<()>>>>,
}

impl Locks {
    /// Locks for the calls of this life of a server.
    pub(crate) fn new(store: Store, server: String, instance: InstanceId, ttl_max: Duration) -> Arc<Self> {
        Arc::new(Self {
            store,
            server,
            instance,
            ttl_max,
            tasks: TaskTracker::new(),
            held: Mutex::default(),
            lines: Mutex::default(),
        })
    }

    /// Gets a lock for a call: its token, or none if it was not to be had in time.
    async fn acquire(
        self: &Arc<Self>,
        call_id: u64,
        name: &str,
        ttl: Duration,
        until: Instant,
    ) -> Result<Option<u64>, HostFailure> {
        self.held().entry(call_id).or_default();
        let (locks, name) = (Arc::clone(self), name.to_owned());
        // A task of its own: who asked may be gone before the store has answered, and then the lock is given back.
        let task = self
            .tasks
            .spawn(async move { locks.acquire_in_turn(call_id, &name, ttl, until).await });
        let ended = |_| HostFailure::new(500, "InternalServerError", "the lock could not be asked for");
        Ok(task.await.map_err(ended)??)
    }

    async fn acquire_in_turn(
        &self,
        call_id: u64,
        name: &str,
        ttl: Duration,
        until: Instant,
    ) -> Result<Option<u64>, StoreError> {
        let line = self.line(name);
        // Who does not wait gets it too if nobody else wants it: the lock is looked at before the time is.
        let Ok(first) = timeout_at(until, line.lock()).await else {
            return Ok(None);
        };
        let result = self.ask(call_id, name, ttl, until).await;
        drop(first);
        result
    }

    /// Asks the store until the lock is there, the time is over, or the call has ended.
    async fn ask(&self, call_id: u64, name: &str, ttl: Duration, until: Instant) -> Result<Option<u64>, StoreError> {
        let mut events = self.store.events();
        loop {
            if !self.held().contains_key(&call_id) {
                return Ok(None);
            }
            let waits = Instant::now() < until;
            let result = self
                .store
                .acquire_lock(name, &self.server, &self.instance, as_millis(ttl), waits)
                .await?;
            let ends_in_ms = match result {
                LockTry::Given(lock) => return Ok(self.keep(call_id, name, lock.token)),
                LockTry::Taken { ends_in_ms } => ends_in_ms,
            };
            let now = Instant::now();
            if now >= until {
                return Ok(None);
            }
            let again = now + Duration::from_millis(ends_in_ms.max(1)).min(ASK_EVERY);
            // Whether it was told or time passed: it is asked again.
            let _ = timeout_at(again.min(until), freed(&mut events)).await;
        }
    }

    /// Notes that a call holds a lock; gives it back if the call has ended meanwhile.
    fn keep(&self, call_id: u64, name: &str, token: u64) -> Option<u64> {
        let mut held = self.held();
        if let Some(locks) = held.get_mut(&call_id) {
            locks.push((name.to_owned(), token));
            return Some(token);
        }
        drop(held);
        self.give_back(vec![(name.to_owned(), token)]);
        None
    }

    async fn release(&self, call_id: u64, name: &str, token: u64) -> Result<bool, StoreError> {
        let was_held = self.store.release_lock(name, token).await?;
        if let Some(locks) = self.held().get_mut(&call_id) {
            locks.retain(|(_, held)| *held != token);
        }
        Ok(was_held)
    }

    /// A call has ended: what it held is given back.
    pub(crate) fn call_ended(&self, call_id: u64) {
        let locks = self.held().remove(&call_id).unwrap_or_default();
        if !locks.is_empty() {
            self.give_back(locks);
        }
    }

    /// Waits until what is to be given back has been.
    pub(crate) async fn close(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn give_back(&self, locks: Vec<(String, u64)>) {
        let store = self.store.clone();
        self.tasks.spawn(async move {
            for (name, token) in locks {
                if let Err(error) = store.release_lock(&name, token).await {
                    tracing::warn!(lock = name, %error, "a lock could not be given back; it ends when its time is over");
                }
            }
        });
    }

    fn line(&self, name: &str) -> Arc<FairMutex<()>> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= LINES_KEPT {
            lines.retain(|_, line| line.strong_count() > 0);
        }
        if let Some(line) = lines.get(name).and_then(Weak::upgrade) {
            return line;
        }
        let line = Arc::new(FairMutex::new(()));
        lines.insert(name.to_owned(), Arc::downgrade(&line));
        line
    }

    fn held(&self) -> MutexGuard<'_, HashMap<u64, Vec<(String, u64)>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until a lock became free.
async fn freed(events: &mut Events) {
    while let Some(event) = events.recv().await {
        if matches!(event, Event::Locks | Event::Reconnected) {
            return;
        }
    }
    std::future::pending::<()>().await;
}

fn as_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
