//! Deployments: how code becomes a numbered deployment, and how every server comes to serve it.
//!
//! - `folder.rs`: files of `services/` that changed are deployed, by the one server that holds the lease `services-folder`.
//! - `coordinator.rs`: under the lease `deployment-coordinator`, one server at a time tries the new set (`probe.rs`), writes it
//!   to the store, waits until every live server has prepared it, and commits it.
//! - `follower.rs`: every server prepares what is being prepared, flips to what was committed, and drains what was before.
//!
//! How workers run is the business of [`crate::workers`], how calls find them that of [`crate::services`].

mod coordinator;
mod files;
mod folder;
mod follower;
mod probe;
mod sdk;
mod settings;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tenon_model::{InstanceId, Random};
use tenon_protocol::control::{DeploymentDetail, DeploymentSummary};
use tenon_store::{DEFAULT_GROUP, DeploymentFile, Store, StoreError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use sdk::SdkFiles;
pub use settings::DeploymentSettings;

use crate::call::HostCalls;
use crate::services::{Registry, ServicesParts};
use crate::workers::{WorkerSettings, WorkerSpec, interpreter};
use files::FileSet;
use probe::Candidate;

/// Why something was not deployed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// What was sent can't be a deployment.
    #[error("{0}")]
    Invalid(String),
    /// There is no such deployment.
    #[error("there is no deployment {0}")]
    NotFound(u64),
    /// Another server is deploying for too long.
    #[error("another deployment is under way: {0}")]
    Busy(String),
    /// No server could prepare it, or no worker can be run at all.
    #[error("{0}")]
    Failed(String),
    /// The store did not do its part.
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    /// A file could not be written.
    #[error("can't write {path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Deploys, follows what others deploy, and imports the services folder. A clone is the same.
#[derive(Debug, Clone)]
pub struct Deployments(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    store: Store,
    host: Arc<dyn HostCalls>,
    registry: Arc<Registry>,
    server: String,
    instance: InstanceId,
    services_dir: Option<PathBuf>,
    /// Where the files of deployments are written.
    deployments_dir: PathBuf,
    /// The program that every worker runs.
    entry: PathBuf,
    random: Arc<dyn Random>,
    settings: DeploymentSettings,
    workers: WorkerSettings,
    /// The limits with the interpreter found, once a worker was wanted.
    resolved: tokio::sync::OnceCell<WorkerSettings>,
    tasks: TaskTracker,
    /// One deployment at a time in this process; the lease does the same for the cluster.
    coordinating: tokio::sync::Mutex<()>,
    /// A worker that was started to try a set of files, and is kept to be the first of the deployment.
    candidate: Mutex<Option<Candidate>>,
    wake_follower: Notify,
}

impl Deployments {
    pub(crate) fn new(parts: ServicesParts, registry: Arc<Registry>) -> Result<Self, DeployError> {
        let deployments_dir = parts.run_dir.join("deployments");
        // What an earlier life of the server wrote is in nobody's use: its workers ended with it.
        let _ = std::fs::remove_dir_all(&deployments_dir);
        files::make_dir(&deployments_dir)?;
        let entry = parts.sdk.write_below(&parts.run_dir.join("sdk"))?;
        Ok(Self(Arc::new(Inner {
            store: parts.store,
            host: parts.host,
            registry,
            server: parts.server,
            instance: parts.instance,
            services_dir: parts.services_dir,
            deployments_dir,
            entry,
            random: parts.random,
            settings: parts.deployments,
            workers: parts.workers,
            resolved: tokio::sync::OnceCell::new(),
            tasks: TaskTracker::new(),
            coordinating: tokio::sync::Mutex::new(()),
            candidate: Mutex::default(),
            wake_follower: Notify::new(),
        })))
    }

    /// Runs until `stop`; pools go on.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        let inner = &self.0;
        tokio::join!(
            follower::follow(inner, &stop),
            coordinator::look_after_orphans(inner, &stop),
            folder::import_changes(inner, &stop),
        );
    }

    /// Waits for what was begun, once all workers were told to end.
    pub(crate) async fn end(&self) {
        self.0.take_candidate();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Deploys files beside the live deployment's others, without those of `remove`. Answers when every live server serves
    /// them; the summary says what was refused. `source` is for people.
    pub async fn deploy(
        &self,
        files: Vec<DeploymentFile>,
        remove: Vec<String>,
        source: &str,
    ) -> Result<DeploymentSummary, DeployError> {
        Box::pin(coordinator::deploy(&self.0, files, remove, source)).await
    }

    /// Makes the files of an earlier deployment live again, as a new deployment.
    pub async fn roll_back(&self, number: u64) -> Result<DeploymentSummary, DeployError> {
        Box::pin(coordinator::roll_back(&self.0, number)).await
    }

    /// Deployments, the newest first: those below `after`, or the newest.
    pub async fn list(&self, after: Option<u64>, limit: u32) -> Result<Vec<DeploymentSummary>, DeployError> {
        Ok(self.0.store.deployments(after, limit).await?)
    }

    /// One deployment.
    pub async fn detail(&self, number: u64) -> Result<DeploymentDetail, DeployError> {
        let record = self
            .0
            .store
            .deployment(number)
            .await?
            .ok_or(DeployError::NotFound(number))?;
        Ok(DeploymentDetail {
            summary: record.summary(),
            file_hashes: record.files.into_iter().map(|file| (file.path, file.sha256)).collect(),
            service_names: record.services.into_iter().map(|service| service.name).collect(),
        })
    }
}

impl Inner {
    fn spec(&self, root: PathBuf) -> WorkerSpec {
        WorkerSpec {
            group: DEFAULT_GROUP.to_owned(),
            root,
            entry: self.entry.clone(),
        }
    }

    /// The limits of workers, with the interpreter itself in place of its name.
    async fn worker_settings(&self) -> &WorkerSettings {
        let resolve = async || WorkerSettings {
            python: interpreter(&self.workers.python).await,
            ..self.workers.clone()
        };
        self.resolved.get_or_init(resolve).await
    }

    /// The files of the live deployment, and its number; 0 if there is none.
    async fn live_files(&self) -> Result<(u64, FileSet), StoreError> {
        match self.store.live_deployment(DEFAULT_GROUP).await? {
            Some(live) => Ok((
                live.number,
                FileSet::from(self.store.deployment_files(live.number).await?),
            )),
            None => Ok((0, FileSet::default())),
        }
    }

    fn keep_candidate(&self, candidate: Candidate) {
        *lock(&self.candidate) = Some(candidate);
    }

    fn take_candidate(&self) -> Option<Candidate> {
        lock(&self.candidate).take()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
