//! Keeps a pool at its number of workers, and its workers alive.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use rustix::process::Signal;
use tenon_protocol::worker::Kind;
use tokio::time::{Duration, Instant, MissedTickBehavior};

use super::pool::Inner;
use super::process;
use super::recycle;
use super::service::ServiceEntry;
use super::start::ReadyWorker;
use super::worker::Worker;

/// Runs until the pool ends.
pub(crate) async fn keep(inner: Arc<Inner>) {
    let mut ticks = tokio::time::interval(inner.shared.settings.ping_every.0);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = inner.ended.cancelled() => return,
            () = inner.wake_keeper.notified() => {}
            _ = ticks.tick() => {
                ping_all(&inner);
                recycle::choose(&inner, Instant::now());
            }
        }
        start_missing(&inner);
        recycle::retire_replaced(&inner);
    }
}

fn start_missing(inner: &Arc<Inner>) {
    if inner.draining.load(Ordering::SeqCst) {
        return;
    }
    let accepting = inner
        .workers
        .load()
        .iter()
        .filter(|worker| worker.is_accepting() && !worker.life.is_ending())
        .count();
    let have = accepting + inner.starting.load(Ordering::SeqCst);
    for _ in have..inner.shared.settings.worker_count() {
        inner.starting.fetch_add(1, Ordering::SeqCst);
        inner.shared.tasks.spawn(start_one(inner.clone()));
    }
}

async fn start_one(inner: Arc<Inner>) {
    let settings = &inner.shared.settings;
    let delay = inner.restart_delay();
    let start = async {
        tokio::time::sleep(delay).await;
        ReadyWorker::start(&inner.spec, inner.next_name(), settings, &inner.shared.tasks).await
    };
    let started = tokio::select! {
        () = inner.ended.cancelled() => return,
        started = start => started,
    };
    let adopted = started.and_then(|ready| inner.adopt(ready));
    inner.starting.fetch_sub(1, Ordering::SeqCst);
    // It may be what another one waited for.
    inner.wake_keeper.notify_one();
    if let Err(error) = adopted {
        inner.early_deaths.fetch_add(1, Ordering::Relaxed);
        let source = std::error::Error::source(&error)
            .map(|source| format!(": {source}"))
            .unwrap_or_default();
        tracing::error!(
            deployment = inner.shared.deployment,
            "no worker could be started: {error}{source}"
        );
    }
}

fn ping_all(inner: &Inner) {
    let settings = &inner.shared.settings;
    let now = Instant::now();
    for worker in inner.workers.load().iter() {
        let mut sent = worker.ping_sent.lock().unwrap_or_else(PoisonError::into_inner);
        match *sent {
            None => {
                *sent = Some(now);
                drop(sent);
                worker.send_bare(Kind::Ping, worker.started.elapsed().as_secs(), &inner.shared);
            }
            Some(at) if now.duration_since(at) >= settings.ping_timeout.0 => {
                worker.kill(format!("it gave no sign of life for {:?}", settings.ping_timeout.0));
            }
            Some(at) => {
                let overdue = now.duration_since(at) >= settings.ping_every.0 * 3 / 2;
                worker.suspect.store(overdue, Ordering::Relaxed);
            }
        }
    }
}

/// Replaces a worker that runs code which does not stop. Its other calls get a little time.
pub(crate) fn poison(inner: &Arc<Inner>, worker: &Arc<Worker>, stuck: Vec<Arc<ServiceEntry>>) {
    let calls = stuck.len();
    let names: Vec<_> = stuck.iter().map(|service| service.name.as_str()).collect();
    let names = names.join(", ");
    if worker.blamed.set(stuck).is_err() {
        return;
    }
    tracing::warn!(worker = %worker.name, "the worker is replaced: calls of {names} were cancelled and do not end");
    worker.retire(&inner.shared);
    let patience = inner.shared.settings.cancel_grace.0;
    inner
        .shared
        .tasks
        .spawn(end_retired(inner.clone(), worker.clone(), patience, calls));
    inner.wake_keeper.notify_one();
}

/// Ends a worker that takes no more calls: waits until it has no more than `hopeless` of them, asks it to abort, which makes
/// Python print what its threads are doing, and kills it.
pub(crate) async fn end_retired(inner: Arc<Inner>, worker: Arc<Worker>, patience: Duration, hopeless: usize) {
    let tick = Duration::from_millis(20);
    let deadline = Instant::now() + patience;
    let ended = || worker.kill.is_cancelled() || inner.ended.is_cancelled() || !is_listed(&inner, &worker);
    while worker.in_flight() > hopeless && Instant::now() < deadline && !ended() {
        tokio::time::sleep(tick).await;
    }
    let deadline = Instant::now() + if hopeless == 0 { patience } else { Duration::ZERO };
    while Instant::now() < deadline && !ended() {
        tokio::time::sleep(tick).await;
    }
    let last = if hopeless == 0 { Signal::TERM } else { Signal::ABORT };
    let deadline = Instant::now() + inner.shared.settings.term_grace.0;
    if !ended() {
        process::signal(worker.pid, last);
    }
    while Instant::now() < deadline && !ended() {
        tokio::time::sleep(tick).await;
    }
    worker.kill("it did not end when it was asked to");
}

fn is_listed(inner: &Inner, worker: &Arc<Worker>) -> bool {
    inner.workers.load().iter().any(|other| Arc::ptr_eq(other, worker))
}
