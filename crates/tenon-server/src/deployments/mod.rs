//! Deployments: how code becomes a numbered deployment, and how every server comes to serve it.
//!
//! - `folder.rs`: files of `services/` that changed are deployed, by the one server that holds the lease `services-folder`.
//! - `coordinator.rs`: under the lease `deployment-coordinator`, one server at a time tries the new set (`probe.rs`), writes it
//!   to the store, waits until every live server has prepared it, and commits it. `admission.rs` says how much of it can be.
//! - `follower.rs`: every server prepares what is being prepared, flips to what was committed, and drains what was before; for
//!   each worker group by itself (`group_follower.rs`).
//! - `canary/`: what a canary's calls say, and whether it becomes live.
//! - `group.rs`: what belongs to which group, and the limits that a group sets itself; `requirements.rs` finds the packages that
//!   it requires, once, and `environments.rs` installs them on each server.
//!
//! How workers run is the business of [`crate::workers`], how calls find them that of [`crate::services`].

mod admission;
mod canary;
mod coordinator;
mod environments;
mod files;
mod folder;
mod follower;
mod group;
mod group_follower;
mod probe;
mod requirements;
mod sdk;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tenon_model::{InstanceId, Random};
use tenon_protocol::control::{CanaryRequest, CanaryTerms, DeploymentDetail, DeploymentSummary};
use tenon_store::{DeploymentFile, Store, StoreError};
use tokio::sync::{Notify, OnceCell};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use canary::{CanarySettings, WithFewCalls};
pub use group::{GROUP_FILE, is_executable, is_group_name, split_by_group};
pub use sdk::SdkFiles;
pub use settings::DeploymentSettings;

use crate::call::HostCalls;
use crate::services::{Registry, ServicesParts};
use crate::workers::{
    Interpreter, UserError, WorkerProgram, WorkerSettings, WorkerSpec, WorkerUser, Zygotes, interpreter,
};
use environments::{Environment, Environments};
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
    /// A canary of the group is not decided.
    #[error(
        "deployment {0} is a canary that is not decided; `tenon deployment promote {0}` or `tenon deployment rollback {0}` ends it"
    )]
    CanaryRuns(u64),
    /// No server could prepare it, or no worker can be run at all.
    #[error("{0}")]
    Failed(String),
    /// The store did not do its part.
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    /// Workers can't run as the user that the settings name.
    #[error(transparent)]
    User(#[from] UserError),
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

/// What is to be deployed.
#[derive(Debug, Clone, Default)]
pub struct DeploymentChange {
    /// The worker group.
    pub group: String,
    /// New and changed files.
    pub files: Vec<DeploymentFile>,
    /// Files to take away; each has to be there.
    pub remove: Vec<String>,
    /// Whether the live deployment's other files go. Otherwise they stay.
    pub replace: bool,
    /// Whether it is deployed even if nothing is another than in the live deployment: with new workers, and with services that
    /// were quarantined.
    pub again: bool,
    /// How it is tried as a canary; none if it is to be live at once.
    pub canary: Option<CanaryTerms>,
    /// Where it comes from, for people.
    pub source: String,
}

/// Deploys, follows what others deploy, and imports the services folder. A clone is the same.
#[derive(Debug, Clone)]
pub struct Deployments(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    store: Store,
    host: Arc<dyn HostCalls>,
    registry: Arc<Registry>,
    cluster: String,
    server: String,
    instance: InstanceId,
    services_dir: Option<PathBuf>,
    /// Where the files of deployments are written.
    deployments_dir: PathBuf,
    /// The program that every Python worker runs.
    entry: PathBuf,
    random: Arc<dyn Random>,
    settings: DeploymentSettings,
    workers: WorkerSettings,
    /// The user that workers run as; none for the server's own.
    user: Option<WorkerUser>,
    /// Interpreters by the names that settings give them.
    interpreters: Mutex<BTreeMap<String, Arc<OnceCell<Interpreter>>>>,
    environments: Environments,
    zygotes: Zygotes,
    tasks: TaskTracker,
    /// By group: one deployment at a time in this process; the lease does the same for the cluster.
    coordinating: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// By group: a worker that was started to try a set of files, and is kept to be the first of the deployment.
    candidates: Mutex<BTreeMap<String, Candidate>>,
    /// Whether the services folder was imported once, or needs not be.
    is_imported: AtomicBool,
    /// The canaries that were not decided at the last look, by group.
    canaries: Mutex<BTreeMap<String, u64>>,
    wake_follower: Notify,
}

impl Deployments {
    pub(crate) fn new(parts: ServicesParts, registry: Arc<Registry>) -> Result<Self, DeployError> {
        let deployments_dir = parts.run_dir.join("deployments");
        // What an earlier life of the server wrote is in nobody's use: its workers ended with it.
        let _ = std::fs::remove_dir_all(&deployments_dir);
        files::make_dir(&deployments_dir)?;
        let user = WorkerUser::of_setting(&parts.workers.worker_user)?;
        let entry = match &user {
            None => parts.sdk.write_below(&parts.run_dir.join("sdk"))?,
            Some(user) => {
                user.check_can_enter(&deployments_dir)?;
                // What another user may change is used for that user only.
                let dir = parts.run_dir.join(format!("sdk-of-{}", user.name));
                let entry = parts.sdk.write_below(&dir)?;
                user.give(&dir)?;
                entry
            }
        };
        Ok(Self(Arc::new(Inner {
            store: parts.store,
            host: parts.host,
            registry,
            cluster: parts.cluster,
            server: parts.server,
            instance: parts.instance,
            services_dir: parts.services_dir,
            environments: Environments::new(parts.run_dir.join("environments"), &parts.deployments),
            deployments_dir,
            zygotes: Zygotes::new(&entry, user.as_ref(), &parts.workers),
            entry,
            random: parts.random,
            settings: parts.deployments,
            workers: parts.workers,
            user,
            interpreters: Mutex::default(),
            tasks: TaskTracker::new(),
            coordinating: Mutex::default(),
            candidates: Mutex::default(),
            is_imported: AtomicBool::new(false),
            canaries: Mutex::default(),
            wake_follower: Notify::new(),
        })))
    }

    /// Runs until `stop`; pools go on.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        let inner = &self.0;
        tokio::join!(
            follower::follow(inner, &stop),
            coordinator::look_after_orphans(inner, &stop),
            canary::watch(inner, &stop),
            folder::import_changes(inner, &stop),
        );
    }

    /// Waits for what was begun, once all workers were told to end.
    pub(crate) async fn end(&self) {
        lock(&self.0.candidates).clear();
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.0.zygotes.end().await;
    }

    /// What a canary is asked for with, checked, and with what was not said filled in.
    pub fn canary_terms(&self, asked: CanaryRequest) -> Result<CanaryTerms, DeployError> {
        if !(1..=99).contains(&asked.share_percent) {
            let why = "a canary gets from 1 to 99 percent of the calls";
            return Err(DeployError::Invalid(why.to_owned()));
        }
        Ok(CanaryTerms {
            share_percent: asked.share_percent,
            period: asked.period.unwrap_or(self.0.settings.canary.period),
        })
    }

    /// Makes a change. Answers when every live server serves it; the summary says what was refused.
    pub async fn deploy(&self, change: DeploymentChange) -> Result<DeploymentSummary, DeployError> {
        Box::pin(coordinator::deploy(&self.0, change)).await
    }

    /// Makes the files of an earlier deployment live again, as a new deployment; ends a canary. `user` is who wants that.
    pub async fn roll_back(&self, number: u64, user: &str) -> Result<DeploymentSummary, DeployError> {
        Box::pin(coordinator::roll_back(&self.0, number, user)).await
    }

    /// Makes a canary live that is not decided. `user` is who wants that.
    pub async fn promote(&self, number: u64, user: &str) -> Result<DeploymentSummary, DeployError> {
        Box::pin(canary::promote(&self.0, number, user)).await
    }

    /// Deployments of a group, or of all, the newest first: those below `after`, or the newest.
    pub async fn list(
        &self,
        group: Option<&str>,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<DeploymentSummary>, DeployError> {
        Ok(self.0.store.deployments(group, after, limit).await?)
    }

    /// The files of a deployment, whole.
    pub async fn files(&self, number: u64) -> Result<Vec<DeploymentFile>, DeployError> {
        match self.0.store.deployment_files(number).await {
            Err(StoreError::NotFound(_)) => Err(DeployError::NotFound(number)),
            other => Ok(other?),
        }
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

/// What it takes to run a set of files.
#[derive(Debug)]
pub(crate) struct Setup {
    spec: WorkerSpec,
    settings: WorkerSettings,
    /// Held as long as workers need it.
    environment: Option<Arc<Environment>>,
}

impl Inner {
    /// What it takes to run a group's files, which are below `root`. `deployment` is 0 as long as they have no number.
    async fn setup(&self, group: &str, files: &FileSet, root: PathBuf, deployment: u64) -> Result<Setup, DeployError> {
        let mut settings = group::worker_settings(files, &self.workers, &self.settings)
            .map_err(|why| DeployError::Failed(format!("{GROUP_FILE}: {why}")))?;
        let mut environment = None;
        let program = if group::program(group, files).is_some() {
            WorkerProgram::Executable(root.join(group))
        } else {
            let interpreter = self.interpreter(&settings.python).await;
            environment = self.environments.of(files, &interpreter).await?;
            let own = environment
                .as_ref()
                .map(|own| own.python.to_string_lossy().into_owned());
            settings.python = own.unwrap_or(interpreter.path);
            WorkerProgram::Python {
                interpreter: settings.python.clone(),
                entry: self.entry.clone(),
                zygote: settings.fork_workers.then(|| self.zygotes.of(&settings.python)),
            }
        };
        let variables = vec![
            ("TENON_SERVER", self.server.clone()),
            ("TENON_CLUSTER", self.cluster.clone()),
            ("TENON_GROUP", group.to_owned()),
            ("TENON_DEPLOYMENT", deployment.to_string()),
        ];
        let spec = WorkerSpec {
            group: group.to_owned(),
            root,
            program,
            variables,
            user: self.user.clone(),
        };
        Ok(Setup {
            spec,
            settings,
            environment,
        })
    }

    /// The interpreter behind a name, which is asked once.
    async fn interpreter(&self, python: &str) -> Interpreter {
        let cell = lock(&self.interpreters).entry(python.to_owned()).or_default().clone();
        cell.get_or_init(|| interpreter(python)).await.clone()
    }

    /// A directory of its own for a set of files.
    fn new_root(&self, fingerprint: &str) -> PathBuf {
        let mut salt = [0; 4];
        self.random.fill(&mut salt);
        let name = format!("{}-{:08x}", &fingerprint[..8], u32::from_le_bytes(salt));
        self.deployments_dir.join(name)
    }

    /// Writes files where workers can read them, beside the last good versions of those that changed.
    async fn write(&self, files: &FileSet, root: &Path, previous: &FileSet) -> Result<(), DeployError> {
        let (files, root, previous, user) = (files.clone(), root.to_owned(), previous.clone(), self.user.clone());
        let write = move || {
            files.write(&root, &previous)?;
            user.map_or(Ok(()), |user| user.give(&root))?;
            Ok(())
        };
        let written = tokio::task::spawn_blocking(write).await;
        written.unwrap_or_else(|_| Err(DeployError::Failed("writing the files was given up".to_owned())))
    }

    /// The files of the live deployment of a group, and its number; 0 if there is none.
    async fn live_files(&self, group: &str) -> Result<(u64, FileSet), StoreError> {
        match self.store.live_deployment(group).await? {
            Some(live) => Ok((
                live.number,
                FileSet::from(self.store.deployment_files(live.number).await?),
            )),
            None => Ok((0, FileSet::default())),
        }
    }

    /// What only one deployment of a group at a time may hold in this process.
    fn coordinating(&self, group: &str) -> Arc<tokio::sync::Mutex<()>> {
        lock(&self.coordinating).entry(group.to_owned()).or_default().clone()
    }

    fn keep_candidate(&self, group: &str, candidate: Candidate) {
        lock(&self.candidates).insert(group.to_owned(), candidate);
    }

    fn take_candidate(&self, group: &str) -> Option<Candidate> {
        lock(&self.candidates).remove(group)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
