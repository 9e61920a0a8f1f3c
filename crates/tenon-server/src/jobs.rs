//! Executes runs of jobs: claims what is due, calls the service, renews the claim while it works, records how it ended.
//!
//! When a run is due, and that it is written once, is the scheduler's business; that it is executed by one server at a time is
//! the store's. A claim that can't be renewed is another server's: its attempt is ended here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tenon_model::{CorrelationId, InstanceId, Random};
use tenon_protocol::control::RunOutcome;
use tenon_store::{ClaimedRun, Event, Events, FinishedRun, Store, StoreError};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::call::{CallSource, ServiceAnswer, ServiceCall, ServiceError};
use crate::invoke::Invoker;
use crate::membership::ServerHealth;
use crate::secrets::Secrets;
use crate::settings::InvokeSettings;

const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Executes runs on this server.
#[derive(Debug)]
pub(crate) struct RunExecutor {
    /// Where runs are claimed.
    pub(crate) store: Store,
    /// The path to services.
    pub(crate) invoker: Arc<Invoker>,
    /// Whether the server takes work.
    pub(crate) health: Arc<ServerHealth>,
    /// The server's name.
    pub(crate) server: String,
    /// This life of the server's process.
    pub(crate) instance: InstanceId,
    /// Correlation ids.
    pub(crate) random: Arc<dyn Random>,
    /// What references in payloads stand for.
    pub(crate) secrets: Secrets,
    /// Limits.
    pub(crate) settings: InvokeSettings,
}

/// The runs that are being executed: id to fence and task.
#[derive(Debug, Default)]
struct InHand {
    runs: Mutex<HashMap<u64, (u64, AbortHandle)>>,
    /// Told when a run ended, because there is room for another.
    ended: Notify,
}

impl RunExecutor {
    /// Executes runs until told to stop; then claims nothing more and lets those in hand finish.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let executor = Arc::new(self);
        let in_hand = Arc::new(InHand::default());
        let tasks = TaskTracker::new();
        let finished = CancellationToken::new();
        let renewal = tokio::spawn(Arc::clone(&executor).renew(Arc::clone(&in_hand), finished.clone()));
        let mut events = executor.store.events();
        loop {
            if executor.health.is_ready() {
                executor.claim(&in_hand, &tasks).await;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = in_hand.ended.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = something_due(&mut events) => {}
            }
        }
        tasks.close();
        tasks.wait().await;
        finished.cancel();
        let _ = renewal.await;
    }

    async fn claim(self: &Arc<Self>, in_hand: &Arc<InHand>, tasks: &TaskTracker) {
        let taken = u32::try_from(in_hand.lock().len()).unwrap_or(u32::MAX);
        let room = self.settings.runs_max.saturating_sub(taken);
        if room == 0 {
            return;
        }
        let lease_ms = u64::try_from(self.settings.run_lease.0.as_millis()).unwrap_or(u64::MAX);
        let claimed = match self
            .store
            .claim_runs(&self.server, &self.instance, room, lease_ms)
            .await
        {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::warn!(%error, "cannot claim runs of jobs");
                return;
            }
        };
        for run in claimed {
            let (id, fence) = (run.id, run.fence);
            let executor = Arc::clone(self);
            let in_hand_of_task = Arc::clone(in_hand);
            let mut runs = in_hand.lock();
            let task = tasks.spawn(async move {
                executor.execute(run).await;
                in_hand_of_task.remove(id, fence);
            });
            runs.insert(id, (fence, task.abort_handle()));
        }
    }

    async fn execute(&self, run: ClaimedRun) {
        let cid = CorrelationId::generate(&*self.random);
        let started = Instant::now();
        let result = match self.payload_of(&run).await {
            Ok(payload) => self.invoker.invoke(Self::call_of(&run, payload, &cid)).await,
            Err(error) => Err(error),
        };
        let (outcome, output, error) = summary(result);
        let finished = FinishedRun {
            id: run.id,
            fence: run.fence,
            outcome,
            output,
            error,
            cid: cid.as_str().to_owned(),
            duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        match self.store.finish_run(finished).await {
            Ok(_) => {}
            Err(StoreError::Fenced(why)) => {
                tracing::warn!(job = %run.job, run = run.id, %cid, "the run was another server's when it ended: {why}");
            }
            Err(error) => {
                tracing::error!(job = %run.job, run = run.id, %cid, %error, "the end of the run was not recorded");
            }
        }
    }

    /// The payload with its references replaced by what they stand for now.
    async fn payload_of(&self, run: &ClaimedRun) -> Result<Bytes, ServiceError> {
        if run.payload.is_null() {
            return Ok(Bytes::new());
        }
        let unavailable =
            |why: String| ServiceError::Unavailable(format!("the job's payload can't be resolved: {why}"));
        let resolver = self
            .secrets
            .resolver(&self.store)
            .await
            .map_err(|error| unavailable(error.to_string()))?;
        let resolved = tenon_manifest::resolve(&run.payload, &resolver).map_err(|problems| {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            unavailable(problems.join("; "))
        })?;
        Ok(Bytes::from(tenon_scheduler::payload_text(&resolved)))
    }

    fn call_of(run: &ClaimedRun, body: Bytes, cid: &CorrelationId) -> ServiceCall {
        let source = CallSource::Job(run.job.clone(), run.id);
        let deadline = Instant::now() + Duration::from_millis(run.timeout_ms);
        ServiceCall::new(cid.clone(), &run.service, source, deadline).with_payload(body, true)
    }

    /// Keeps the claims of runs in hand, and ends those that are no longer ours.
    async fn renew(self: Arc<Self>, in_hand: Arc<InHand>, stop: CancellationToken) {
        let lease = self.settings.run_lease.0;
        let lease_ms = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
        let mut renewed_at = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(lease / 4) => {}
            }
            let claims: Vec<(u64, u64)> = in_hand.lock().iter().map(|(id, (fence, _))| (*id, *fence)).collect();
            if claims.is_empty() {
                renewed_at = Instant::now();
                continue;
            }
            match self.store.renew_runs(claims.clone(), lease_ms).await {
                Ok(ours) => {
                    renewed_at = Instant::now();
                    for (id, fence) in claims.into_iter().filter(|(id, _)| !ours.contains(id)) {
                        in_hand.end(id, fence);
                    }
                }
                Err(error) if renewed_at.elapsed() < lease => {
                    tracing::warn!(%error, "cannot renew the claims of runs");
                }
                Err(error) => {
                    tracing::error!(%error, "the claims of runs ran out; their attempts are ended");
                    for (id, fence) in claims {
                        in_hand.end(id, fence);
                    }
                }
            }
        }
    }
}

impl InHand {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, (u64, AbortHandle)>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remove(&self, id: u64, fence: u64) -> Option<AbortHandle> {
        let mut runs = self.lock();
        if runs.get(&id).is_none_or(|(known, _)| *known != fence) {
            return None;
        }
        let removed = runs.remove(&id).map(|(_, task)| task);
        self.ended.notify_one();
        removed
    }

    fn end(&self, id: u64, fence: u64) {
        if let Some(task) = self.remove(id, fence) {
            task.abort();
        }
    }
}

/// Waits for an event after which there may be something to claim.
async fn something_due(events: &mut Events) {
    loop {
        match events.recv().await {
            Some(Event::Runs | Event::Reconnected) | None => return,
            Some(_) => {}
        }
    }
}

/// How an attempt is recorded. An answer with a status of 400 and above counts as an error.
fn summary(result: Result<ServiceAnswer, ServiceError>) -> (RunOutcome, String, String) {
    match result {
        Ok(answer) => {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            if answer.status >= 400 {
                (
                    RunOutcome::Error,
                    String::new(),
                    format!("the service answered with status {}: {text}", answer.status),
                )
            } else {
                (RunOutcome::Ok, text, String::new())
            }
        }
        Err(ServiceError::Timeout) => (RunOutcome::Timeout, String::new(), ServiceError::Timeout.to_string()),
        Err(ServiceError::Raised {
            kind,
            message,
            traceback,
        }) => (
            RunOutcome::Error,
            String::new(),
            format!("{kind}: {message}\n{traceback}"),
        ),
        Err(error) => (RunOutcome::Error, String::new(), error.to_string()),
    }
}
