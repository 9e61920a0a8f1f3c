//! The workers of one deployment, and the way of a call to one of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::Connection;
use super::quarantine::Deaths;
use super::queue::{Queue, Work};
use super::recycle::Life;
use super::service::ServiceEntry;
use super::settings::WorkerSettings;
use super::start::{ReadyWorker, StartError, WorkerSpec};
use super::worker::{MonotonicClock, Shared, Worker};
use super::{keeper, process, reader, sweep};
use crate::call::{HostCalls, ServiceAnswer, ServiceCall, ServiceError};

/// The receiving end of a call's answer.
pub(crate) type Answer = oneshot::Receiver<Result<ServiceAnswer, ServiceError>>;

/// What a pool is made of.
#[derive(Debug)]
pub struct PoolParts {
    /// The number of the deployment.
    pub deployment: u64,
    /// What its workers run.
    pub spec: WorkerSpec,
    /// Limits.
    pub settings: WorkerSettings,
    /// Who serves host calls.
    pub host: Arc<dyn HostCalls>,
}

/// A worker, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Its name: group, deployment, number.
    pub name: String,
    /// Its process id.
    pub pid: u32,
    /// `ready`, `suspect` (a sign of life is overdue) or `draining`.
    pub state: String,
    /// The version of its interpreter.
    pub python: String,
    /// Calls that it has.
    pub in_flight: usize,
    /// Resident memory.
    pub memory_bytes: u64,
    /// How long ago it was started.
    pub uptime_seconds: u64,
}

/// The workers of one deployment. A clone is the same pool.
#[derive(Debug, Clone)]
pub struct Pool(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) shared: Shared,
    pub(crate) spec: WorkerSpec,
    pub(crate) host: Arc<dyn HostCalls>,
    pub(crate) services: Vec<Arc<ServiceEntry>>,
    by_name: HashMap<String, usize>,
    pub(crate) workers: ArcSwap<Vec<Arc<Worker>>>,
    pub(crate) queue: Queue,
    /// Cancelled when the last worker may go.
    pub(crate) ended: CancellationToken,
    pub(crate) draining: AtomicBool,
    pub(crate) wake_keeper: Notify,
    pub(crate) wake_sweep: Notify,
    pub(crate) sweeping: AtomicBool,
    /// Workers between their start and their hello.
    pub(crate) starting: AtomicUsize,
    /// Workers in a row that died young and ran nothing, or did not come up.
    pub(crate) early_deaths: AtomicU32,
    /// Workers in a row that died young while they ran calls.
    pub(crate) early_deaths_in_calls: AtomicU32,
    pub(crate) host_calls: AtomicUsize,
    worker_numbers: AtomicU64,
    lives: AtomicU64,
    pub(crate) uses: AtomicU64,
    pub(crate) deaths: Mutex<Deaths>,
}

impl Pool {
    /// Starts the workers of a deployment and waits for the first one's hello, unless `first` has said it. The others follow
    /// while it serves: a saved file should not wait for them.
    pub async fn start(parts: PoolParts, first: Option<ReadyWorker>) -> Result<Self, StartError> {
        let tasks = TaskTracker::new();
        let first = match first {
            Some(worker) => worker,
            None => ReadyWorker::start(&parts.spec, worker_name(&parts, 1), &parts.settings, &tasks).await?,
        };
        if let Some(error) = refused(&first) {
            return Err(error);
        }
        let entry = |(index, service)| Arc::new(ServiceEntry::new(index, service));
        let services: Vec<_> = first.hello.services.iter().enumerate().map(entry).collect();
        let inner = Arc::new(Inner::new(parts, services, tasks, 1));
        inner.adopt(first)?;
        let tasks = &inner.shared.tasks;
        tasks.spawn(keeper::keep(inner.clone()));
        tasks.spawn(sweep::sweep(inner.clone()));
        Ok(Self(inner))
    }

    /// Whether the other one is this pool.
    pub(crate) fn is_same(&self, other: &Pool) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The deployment's number.
    pub fn deployment(&self) -> u64 {
        self.0.shared.deployment
    }

    /// How long its workers may finish what they run.
    pub(crate) fn drain_timeout(&self) -> Duration {
        self.0.shared.settings.drain_timeout.0
    }

    /// How large a payload may be that is not streamed.
    pub(crate) fn body_bytes_max(&self) -> usize {
        self.0.shared.settings.body_bytes_max
    }

    /// The services, as the first worker named them.
    pub fn services(&self) -> &[Arc<ServiceEntry>] {
        &self.0.services
    }

    /// The service of this name.
    pub fn service(&self, name: &str) -> Option<&Arc<ServiceEntry>> {
        self.0.by_name.get(name).map(|index| &self.0.services[*index])
    }

    /// Gives a call to a worker, or to the queue before them. Gives it back if the pool has ended.
    pub(crate) fn submit(&self, service: &Arc<ServiceEntry>, call: ServiceCall) -> Result<Answer, Box<ServiceCall>> {
        let (sender, answer) = oneshot::channel();
        let mut call = call;
        call.idempotent |= service.idempotent;
        if let Some(timeout) = service.timeout {
            call.deadline = call.deadline.min(Instant::now() + timeout);
        }
        let mut work = Box::new(Work {
            call,
            service: service.clone(),
            answer: Some(sender),
            queued_at: Instant::now(),
            retries: 0,
        });
        if let Some(reason) = service.quarantine() {
            work.finish(Err(ServiceError::Quarantined(reason.to_owned())));
            return Ok(answer);
        }
        self.0.submit(work).map(|()| answer).map_err(|work| Box::new(work.call))
    }

    /// Sends the host's user configuration, which has changed, to all workers.
    pub fn configure(&self) {
        let Some(body) = self.0.host.configuration() else {
            return;
        };
        for worker in self.0.workers.load().iter() {
            worker.send_configuration(&body, &self.0.shared);
        }
    }

    /// The workers, for people.
    pub fn status(&self) -> Vec<WorkerStatus> {
        let is_staying = |worker: &Worker| worker.is_accepting() && !worker.life.is_ending();
        let state = |worker: &Worker| match (is_staying(worker), worker.suspect.load(Ordering::Relaxed)) {
            (false, _) => "draining",
            (true, true) => "suspect",
            (true, false) => "ready",
        };
        let workers = self.0.workers.load();
        let status = |worker: &Arc<Worker>| WorkerStatus {
            name: worker.name.clone(),
            pid: worker.pid,
            state: state(worker).to_owned(),
            python: worker.python.clone(),
            in_flight: worker.in_flight(),
            memory_bytes: process::memory_bytes(worker.pid),
            uptime_seconds: worker.started.elapsed().as_secs(),
        };
        workers.iter().map(status).collect()
    }

    /// Calls that wait for a worker.
    pub fn queued(&self) -> usize {
        self.0.queue.len()
    }

    /// Workers that take calls.
    pub fn ready_workers(&self) -> usize {
        self.0
            .workers
            .load()
            .iter()
            .filter(|worker| worker.is_accepting())
            .count()
    }

    /// Finishes what runs and what waits, then ends the workers; after the drain timeout they are ended as they are.
    pub async fn drain(&self) {
        let inner = &self.0;
        inner.draining.store(true, Ordering::SeqCst);
        let settings = &inner.shared.settings;
        let deadline = Instant::now() + settings.drain_timeout.0;
        let tick = Duration::from_millis(10);
        // Calls of this deployment may still invoke services of it: no worker goes before all are idle.
        while !(inner.is_idle() && inner.queue.close_if_empty()) && Instant::now() < deadline {
            tokio::time::sleep(tick).await;
        }
        let left = inner.queue.close();
        Inner::fail(
            left,
            &ServiceError::Unavailable("the deployment was replaced".to_owned()),
        );
        for worker in inner.workers.load().iter() {
            worker.retire(&inner.shared);
        }
        let deadline = Instant::now().max(deadline) + Duration::from_secs(1);
        inner.wait_for_ends(deadline).await;
        for worker in inner.workers.load().iter() {
            process::signal(worker.pid, rustix::process::Signal::TERM);
        }
        inner.wait_for_ends(Instant::now() + settings.term_grace.0).await;
        self.kill().await;
    }

    /// Ends the workers at once, and waits until they are gone.
    pub async fn kill(&self) {
        let inner = &self.0;
        inner.draining.store(true, Ordering::SeqCst);
        inner.ended.cancel();
        let left = inner.queue.close();
        Inner::fail(left, &ServiceError::Unavailable("the server stops".to_owned()));
        for worker in inner.workers.load().iter() {
            worker.kill("the server ended it");
        }
        inner.shared.tasks.close();
        inner.shared.tasks.wait().await;
    }
}

impl Inner {
    fn new(parts: PoolParts, services: Vec<Arc<ServiceEntry>>, tasks: TaskTracker, started: u64) -> Self {
        let by_name = services
            .iter()
            .map(|service| (service.name.clone(), service.index))
            .collect();
        Self {
            queue: Queue::new(parts.settings.queue_calls_max, parts.settings.queue_age_max.0),
            shared: Shared {
                limits: parts.settings.frame_limits(),
                settings: parts.settings,
                deployment: parts.deployment,
                tasks,
                clock: MonotonicClock::new(),
            },
            spec: parts.spec,
            host: parts.host,
            services,
            by_name,
            workers: ArcSwap::from_pointee(Vec::new()),
            ended: CancellationToken::new(),
            draining: AtomicBool::new(false),
            wake_keeper: Notify::new(),
            wake_sweep: Notify::new(),
            sweeping: AtomicBool::new(false),
            starting: AtomicUsize::new(0),
            early_deaths: AtomicU32::new(0),
            early_deaths_in_calls: AtomicU32::new(0),
            host_calls: AtomicUsize::new(0),
            worker_numbers: AtomicU64::new(started + 1),
            lives: AtomicU64::new(0),
            uses: AtomicU64::new(0),
            deaths: Mutex::default(),
        }
    }

    /// A name for the next worker.
    pub(crate) fn next_name(&self) -> String {
        let number = self.worker_numbers.fetch_add(1, Ordering::Relaxed);
        format!("{}-{}-{number}", self.spec.group, self.shared.deployment)
    }

    /// Makes a worker part of the pool.
    pub(crate) fn adopt(self: &Arc<Self>, ready: ReadyWorker) -> Result<(), StartError> {
        if let Some(error) = refused(&ready) {
            return Err(error);
        }
        let has = |service: &&Arc<ServiceEntry>| ready.hello.services.iter().any(|other| other.name == service.name);
        if let Some(missing) = self.services.iter().find(|service| !has(service)) {
            return Err(StartError::Differs(format!("'{}' is missing", missing.name)));
        }
        let (connection, socket) = Connection::new(ready.stream);
        let number = self.lives.fetch_add(1, Ordering::Relaxed);
        let life = Life::new(&self.shared.settings, number, ready.started);
        let worker = Arc::new(Worker::new(
            ready.name,
            ready.pid,
            &ready.hello,
            &self.services,
            connection,
            life,
        ));
        // Before the first request can be.
        let configuration = self.host.configuration();
        if let Some(body) = &configuration {
            worker.send_configuration(body, &self.shared);
        }
        let (sender, ended) = oneshot::channel();
        let tasks = &self.shared.tasks;
        tasks.spawn(reader::watch(ready.process, ready.owner, worker.clone(), sender));
        self.workers.rcu(|workers| {
            let mut workers = Vec::clone(workers);
            workers.push(worker.clone());
            workers
        });
        // Who ends the workers looks at the list when that is cancelled already, so one of the two sees the other.
        if self.ended.is_cancelled() {
            worker.kill("the server ended it");
        }
        // What changed before it was one of the workers that a change is sent to.
        let now = self.host.configuration();
        if let Some(body) = now
            && configuration.as_ref() != Some(&body)
        {
            worker.send_configuration(&body, &self.shared);
        }
        tasks.spawn(reader::read(self.clone(), worker, socket, ready.buffer, ended));
        if self.queue.len() > 0 {
            self.pump_waiting();
        }
        Ok(())
    }

    /// Whether nothing runs and nothing waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.len() == 0 && self.workers.load().iter().all(|worker| worker.in_flight() == 0)
    }

    fn fail(left: impl Iterator<Item = Box<Work>>, error: &ServiceError) {
        for mut work in left {
            work.finish(Err(error.clone()));
        }
    }

    async fn wait_for_ends(&self, deadline: Instant) {
        while !self.workers.load().is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A deployment has only files that import; where one does not, something else is wrong.
fn refused(worker: &ReadyWorker) -> Option<StartError> {
    let file = worker.hello.refused.first()?;
    Some(StartError::Differs(format!(
        "'{}' does not import here: {}",
        file.path, file.error
    )))
}

fn worker_name(parts: &PoolParts, number: u64) -> String {
    format!("{}-{}-{number}", parts.spec.group, parts.deployment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workers::tests::bench_of;

    const SERVICE: &str =
        "from tenon import Service\nclass Only(Service):\n    name = 'only'\n    def handle(self):\n        pass\n";

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_worker_that_comes_up_when_the_others_are_ended_is_ended_too() {
        let bench = bench_of(SERVICE, |_| {}).await;
        let inner = &bench.pool.0;
        let settings = &inner.shared.settings;
        let late = ReadyWorker::start(&inner.spec, inner.next_name(), settings, &inner.shared.tasks);
        let late = late.await.unwrap();
        let pid = late.pid;
        inner.ended.cancel();
        inner.adopt(late).unwrap();
        let started = Instant::now();
        while inner.workers.load().iter().any(|worker| worker.pid == pid) {
            assert!(started.elapsed() < Duration::from_secs(20), "it goes on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bench.pool.kill().await;
    }
}
