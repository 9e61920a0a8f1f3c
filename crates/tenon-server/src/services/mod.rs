//! The services of this server: which deployment serves them, and the way of a call to its workers.
//!
//! What becomes a deployment and when it serves is the business of [`crate::deployments`]; how workers run, of
//! [`crate::workers`].

mod live;
mod registry;
mod tally;

use std::path::PathBuf;
use std::sync::Arc;

use tenon_model::{InstanceId, Random};
use tenon_protocol::control::ServiceSummary;
use tenon_store::Store;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::body::BodyStream;
use crate::call::{HostCalls, ServiceAnswer, ServiceCall, ServiceError};
use crate::deployments::{DeployError, DeploymentSettings, Deployments, SdkFiles};
use crate::workers::{Pool, WorkerSettings, WorkerStatus};

pub(crate) use live::Canary;
pub use live::DeploymentPin;
pub(crate) use registry::Registry;

/// How often a call looks for its workers anew when the deployment is replaced under it.
const ROUTES_TRIED_MAX: u32 = 5;

/// What services are made of.
#[derive(Debug)]
pub struct ServicesParts {
    /// Where deployments are kept.
    pub store: Store,
    /// Who serves what services ask of the platform.
    pub host: Arc<dyn HostCalls>,
    /// What Python services import, and the program that runs them.
    pub sdk: SdkFiles,
    /// The cluster's name.
    pub cluster: String,
    /// This server's name.
    pub server: String,
    /// This life of the server.
    pub instance: InstanceId,
    /// The directory for what only lives as long as the server.
    pub run_dir: PathBuf,
    /// The folder whose files are deployed by themselves; none for a server that has no such folder.
    pub services_dir: Option<PathBuf>,
    /// Names directories.
    pub random: Arc<dyn Random>,
    /// Limits of workers.
    pub workers: WorkerSettings,
    /// Limits of deployments.
    pub deployments: DeploymentSettings,
}

/// Whether services can be called, and why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicesStatus {
    /// Whether the live deployment was loaded once.
    pub loaded: bool,
    /// Whether the first attempt to load it is over, however it ended.
    pub settled: bool,
    /// Whether calls can be taken.
    pub ready: bool,
    /// Why not, or what is served, in a sentence.
    pub detail: String,
    /// The number of the deployment that serves; 0 for none.
    pub deployment: u64,
    /// Calls that wait for a worker.
    pub queued: usize,
}

/// The services of this server. A clone is the same.
#[derive(Debug, Clone)]
pub struct Services {
    registry: Arc<Registry>,
    deployments: Deployments,
}

impl Services {
    /// Services that can be called once [`run`](Self::run) has loaded the live deployment.
    pub fn new(parts: ServicesParts) -> Result<Self, DeployError> {
        let registry = Arc::new(Registry::default());
        let deployments = Deployments::new(parts, registry.clone())?;
        Ok(Self { registry, deployments })
    }

    /// Loads what is live, follows what is deployed and imports the services folder, until `stop`; then finishes what runs
    /// and ends the workers.
    pub async fn run(self, stop: CancellationToken) {
        Box::pin(self.deployments.run(stop)).await;
        self.registry.drain_all().await;
        self.deployments.end().await;
    }

    /// Calls a service.
    pub async fn call(&self, call: ServiceCall) -> Result<ServiceAnswer, ServiceError> {
        let mut call = call;
        for _ in 0..ROUTES_TRIED_MAX {
            let pin = match &call.deployment {
                Some(pin) => pin.clone(),
                None => self.registry.pin(&call.cid, &call.service),
            };
            call.deployment = Some(pin.clone());
            let tally = pin.tally(&call).map(|tally| (tally, Instant::now()));
            let submitted = match pin.find(&call.service) {
                Some((pool, service)) => {
                    if !service.streams
                        && let Some(stream) = call.body_stream.take()
                    {
                        Box::pin(gather(&mut call, &stream, pool.body_bytes_max())).await?;
                    }
                    pool.submit(service, call)
                }
                None => return Err(self.not_found(call.service)),
            };
            // The call has it as long as it runs; its caller may wait longer than that.
            drop(pin);
            match submitted {
                Ok(answer) => {
                    let gone = |_| {
                        let cause = "the workers were ended".to_owned();
                        Err(ServiceError::WorkerDied { cause })
                    };
                    let outcome = answer.await.unwrap_or_else(gone);
                    if let Some(((tally, side), began)) = tally {
                        tally.record(side, began.elapsed(), &outcome);
                    }
                    return outcome;
                }
                // The pool ended, after more time than a deployment is kept for its calls: what serves now has to do.
                Err(back) => {
                    call = *back;
                    call.deployment = None;
                }
            }
        }
        Err(ServiceError::Unavailable("the deployment is being replaced".to_owned()))
    }

    fn not_found(&self, service: String) -> ServiceError {
        let status = self.registry.status();
        if status.loaded {
            ServiceError::NotFound(service)
        } else {
            ServiceError::Unavailable(status.detail)
        }
    }

    /// The HTTP methods that a service answers, if it has a handler for each.
    pub(crate) fn http_methods(&self, service: &str) -> Option<Vec<String>> {
        self.registry.entry(service)?.http_methods.clone()
    }

    /// The number of the deployment that every call of this service would go to; none while a canary gets some of them.
    pub(crate) fn deployment_of(&self, service: &str) -> Option<u64> {
        self.registry.only_deployment(service)
    }

    /// The services that are live, by name; channels are not filled in.
    pub fn list(&self) -> Vec<ServiceSummary> {
        self.registry.list()
    }

    /// Sends the host's user configuration, which has changed, to all workers.
    pub fn configure(&self) {
        self.registry.pools().iter().for_each(Pool::configure);
    }

    /// Whether services can be called.
    pub fn status(&self) -> ServicesStatus {
        self.registry.status()
    }

    /// The workers of the live deployment and of those that drain.
    pub fn workers(&self) -> Vec<WorkerStatus> {
        self.registry.workers()
    }

    /// Changes whenever another deployment serves, or services become ready or cease to be.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.registry.changes()
    }

    /// Deploys and rolls back.
    pub fn deployments(&self) -> &Deployments {
        &self.deployments
    }
}

/// Reads the payload of a call to its end, for a service that does not read it in pieces.
async fn gather(call: &mut ServiceCall, stream: &BodyStream, limit: usize) -> Result<(), ServiceError> {
    let body = stream.gather(std::mem::take(&mut call.body), limit);
    call.body = timeout_at(call.deadline, body)
        .await
        .map_err(|_| ServiceError::Timeout)??;
    Ok(())
}
