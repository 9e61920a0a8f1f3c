//! Deployments: numbered, immutable sets of user code, their files kept once by content.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenon_model::{InstanceId, Timestamp};
use tenon_protocol::control::{CanaryTerms, DeploymentState, DeploymentSummary, RefusedFile};

use crate::canary::CanaryCounts;
use crate::engine::{Reply, RequestClass, Store, answer};
use crate::error::StoreError;

/// The worker group of code that names none.
pub const DEFAULT_GROUP: &str = "default";

/// A file of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentFile {
    /// Its path below `services/`, with `/`.
    pub path: String,
    /// SHA-256 of its content, lower-case hexadecimal digits.
    pub sha256: String,
    /// Its content.
    pub content: Bytes,
}

impl DeploymentFile {
    /// The file of this path and content.
    pub fn new(path: impl Into<String>, content: impl Into<Bytes>) -> Self {
        let content = content.into();
        Self {
            path: path.into(),
            sha256: Self::hash(&content),
            content,
        }
    }

    /// SHA-256 of a content, as files are known by it.
    pub fn hash(content: &[u8]) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, content);
        digest
            .as_ref()
            .iter()
            .fold(String::with_capacity(64), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
    }
}

/// A file of a deployment without its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileHash {
    /// Its path below `services/`.
    pub path: String,
    /// SHA-256 of its content.
    pub sha256: String,
    /// Its size.
    pub size_bytes: u64,
}

/// A service that a deployment has, as its worker described it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceRecord {
    /// Its name.
    pub name: String,
    /// The file that defines it.
    pub file: String,
    /// The class, or what the language has instead.
    #[serde(default)]
    pub class: String,
    /// Its documentation; empty if it has none.
    #[serde(default)]
    pub doc: String,
    /// Whether its handler is asynchronous.
    #[serde(default)]
    pub is_async: bool,
    /// JSON Schema of its input, if it declares one.
    #[serde(default)]
    pub input: Option<Value>,
    /// JSON Schema of its output, if it declares one.
    #[serde(default)]
    pub output: Option<Value>,
}

/// A deployment to be written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewDeployment {
    /// The worker group; [`DEFAULT_GROUP`] for code that names none.
    pub group: String,
    /// Where the files come from, for people.
    pub source: String,
    /// All files, with the earlier version of those that were refused.
    pub files: Vec<DeploymentFile>,
    /// What was refused.
    pub refused: Vec<RefusedFile>,
    /// The services found in the files.
    pub services: Vec<ServiceRecord>,
    /// How it is tried as a canary; none if it is to be live at once.
    pub canary: Option<CanaryTerms>,
}

/// A deployment without the contents of its files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeploymentRecord {
    /// Its number, counted from 1 in the cluster.
    pub number: u64,
    /// The worker group.
    pub group: String,
    /// Where it is in its life.
    pub state: DeploymentState,
    /// Where the files come from.
    pub source: String,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it became live, if it did.
    pub live_at: Option<Timestamp>,
    /// Its files, by path.
    pub files: Vec<FileHash>,
    /// What was refused.
    pub refused: Vec<RefusedFile>,
    /// Its services.
    pub services: Vec<ServiceRecord>,
    /// How it is, or was, tried as a canary.
    pub canary: Option<CanaryTerms>,
    /// When it became a canary, if it did.
    pub canary_at: Option<Timestamp>,
    /// Why a canary ended as it did; empty if it did not.
    pub reason: String,
}

impl DeploymentRecord {
    /// What a list shows of it.
    pub fn summary(&self) -> DeploymentSummary {
        DeploymentSummary {
            number: self.number,
            group: self.group.clone(),
            state: self.state,
            source: self.source.clone(),
            created_at: self.created_at,
            files: self.files.len() as u64,
            services: self.services.len() as u64,
            refused: self.refused.clone(),
            canary: self.canary,
            reason: self.reason.clone(),
        }
    }
}

/// How far a server is with a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PreparationState {
    /// Its workers have the deployment's services and wait for its commit.
    Prepared,
    /// It can't run the deployment.
    Failed,
    /// It serves it.
    Serving,
}

/// What a server said last of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preparation {
    /// The server's name.
    pub server: String,
    /// This life of the server.
    pub instance: InstanceId,
    /// How far it is.
    pub state: PreparationState,
    /// Why it failed; empty if it did not.
    pub error: String,
}

/// Requests about deployments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum DeploymentRequest {
    /// See [`Store::begin_deployment`].
    Begin {
        /// What to write.
        deployment: NewDeployment,
        /// `Preparing`, or `Refused`.
        state: DeploymentState,
    },
    /// See [`Store::commit_deployment`].
    Commit {
        /// Which one.
        number: u64,
    },
    /// See [`Store::begin_canary`].
    BeginCanary {
        /// Which one.
        number: u64,
    },
    /// See [`Store::end_canary`].
    EndCanary {
        /// Which one.
        number: u64,
        /// Whether it becomes live.
        is_promoted: bool,
        /// Why, for people.
        reason: String,
    },
    /// See [`Store::report_canary`].
    ReportCanary {
        /// Which deployment.
        number: u64,
        /// The server.
        server: String,
        /// This life of the server.
        instance: InstanceId,
        /// What became of its calls.
        counts: CanaryCounts,
    },
    /// See [`Store::canary_counts`].
    CanaryCounts {
        /// Of which deployment.
        number: u64,
    },
    /// See [`Store::refuse_deployment`].
    Refuse {
        /// Which one.
        number: u64,
        /// What is wrong with it.
        refused: Vec<RefusedFile>,
    },
    /// See [`Store::deployments`].
    List {
        /// Of which worker group; none: of all.
        group: Option<String>,
        /// Numbers below this one; none: from the newest.
        after: Option<u64>,
        /// How many at most.
        limit: u32,
    },
    /// See [`Store::deployment`].
    Get {
        /// Which one.
        number: u64,
    },
    /// See [`Store::live_deployment`].
    Live {
        /// Of which worker group.
        group: String,
    },
    /// See [`Store::serving_deployments`].
    Serving,
    /// See [`Store::deployment_files`].
    Files {
        /// Which one.
        number: u64,
    },
    /// See [`Store::report_preparation`].
    ReportPreparation {
        /// Which deployment.
        number: u64,
        /// Who, and how far.
        preparation: Preparation,
    },
    /// See [`Store::preparations`].
    Preparations {
        /// Of which deployment.
        number: u64,
    },
    /// See [`Store::prune_deployments`].
    Prune,
    /// See [`Store::folder_imports`].
    FolderImports {
        /// Which folder of which host.
        folder: String,
    },
    /// See [`Store::set_folder_imports`].
    SetFolderImports {
        /// Which folder of which host.
        folder: String,
        /// Path to SHA-256.
        files: BTreeMap<String, String>,
    },
}

impl DeploymentRequest {
    /// How the request is handled.
    pub fn class(&self) -> RequestClass {
        match self {
            DeploymentRequest::Begin { .. }
            | DeploymentRequest::Commit { .. }
            | DeploymentRequest::BeginCanary { .. }
            | DeploymentRequest::EndCanary { .. }
            | DeploymentRequest::ReportCanary { .. }
            | DeploymentRequest::Refuse { .. }
            | DeploymentRequest::ReportPreparation { .. }
            | DeploymentRequest::Prune
            | DeploymentRequest::SetFolderImports { .. } => RequestClass::Write,
            DeploymentRequest::List { .. }
            | DeploymentRequest::Get { .. }
            | DeploymentRequest::Live { .. }
            | DeploymentRequest::Serving
            | DeploymentRequest::Files { .. }
            | DeploymentRequest::Preparations { .. }
            | DeploymentRequest::CanaryCounts { .. }
            | DeploymentRequest::FolderImports { .. } => RequestClass::Read,
        }
    }
}

/// Answers about deployments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum DeploymentReply {
    /// The number of a new deployment.
    Number(u64),
    /// It was done.
    Done,
    /// How many were removed.
    Pruned(u64),
    /// A list, the newest first.
    List(Vec<DeploymentSummary>),
    /// One deployment.
    One(Option<Box<DeploymentRecord>>),
    /// Files with their contents, by path.
    Files(Vec<DeploymentFile>),
    /// What servers said of a deployment, by their names.
    Preparations(Vec<Preparation>),
    /// What became of calls while a canary ran.
    CanaryCounts(CanaryCounts),
    /// Path to SHA-256 of what was imported from a folder.
    FolderImports(BTreeMap<String, String>),
}

impl Store {
    /// Writes a new deployment and gives it the next number. `state` is `Preparing`, or `Refused` for one that is only to be
    /// seen in the list.
    pub async fn begin_deployment(&self, deployment: NewDeployment, state: DeploymentState) -> Result<u64, StoreError> {
        let request = DeploymentRequest::Begin { deployment, state };
        answer!(self, request, Reply::Deployments(DeploymentReply::Number(number)) => number)
    }

    /// Makes a deployment live, and the one that was live in its group superseded. Only one that is being prepared can become
    /// live, and only if no later one of its group has and no canary of its group runs; a second commit of the live one changes
    /// nothing.
    pub async fn commit_deployment(&self, number: u64) -> Result<(), StoreError> {
        let request = DeploymentRequest::Commit { number };
        answer!(self, request, Reply::Deployments(DeploymentReply::Done) => ())
    }

    /// Gives up a deployment that is being prepared, adding what is wrong with it.
    pub async fn refuse_deployment(&self, number: u64, refused: Vec<RefusedFile>) -> Result<(), StoreError> {
        let request = DeploymentRequest::Refuse { number, refused };
        answer!(self, request, Reply::Deployments(DeploymentReply::Done) => ())
    }

    /// Deployments of a worker group, or of all, the newest first: those below `after`, or the newest.
    pub async fn deployments(
        &self,
        group: Option<&str>,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<DeploymentSummary>, StoreError> {
        let group = group.map(str::to_owned);
        let request = DeploymentRequest::List { group, after, limit };
        answer!(self, request, Reply::Deployments(DeploymentReply::List(list)) => list)
    }

    /// One deployment.
    pub async fn deployment(&self, number: u64) -> Result<Option<DeploymentRecord>, StoreError> {
        let request = DeploymentRequest::Get { number };
        answer!(self, request, Reply::Deployments(DeploymentReply::One(record)) => record.map(|record| *record))
    }

    /// The deployment that serves in a worker group.
    pub async fn live_deployment(&self, group: &str) -> Result<Option<DeploymentRecord>, StoreError> {
        let request = DeploymentRequest::Live {
            group: group.to_owned(),
        };
        answer!(self, request, Reply::Deployments(DeploymentReply::One(record)) => record.map(|record| *record))
    }

    /// The deployments that serve, by number: the live one of each worker group that has any, and its canary if there is one.
    pub async fn serving_deployments(&self) -> Result<Vec<DeploymentSummary>, StoreError> {
        answer!(self, DeploymentRequest::Serving, Reply::Deployments(DeploymentReply::List(list)) => list)
    }

    /// The files of a deployment with their contents.
    pub async fn deployment_files(&self, number: u64) -> Result<Vec<DeploymentFile>, StoreError> {
        let request = DeploymentRequest::Files { number };
        answer!(self, request, Reply::Deployments(DeploymentReply::Files(files)) => files)
    }

    /// Says how far a server is with a deployment, in place of what it said before. Nothing if there is no such deployment.
    pub async fn report_preparation(&self, number: u64, preparation: Preparation) -> Result<(), StoreError> {
        let request = DeploymentRequest::ReportPreparation { number, preparation };
        answer!(self, request, Reply::Deployments(DeploymentReply::Done) => ())
    }

    /// How far each server is with a deployment, by their names.
    pub async fn preparations(&self, number: u64) -> Result<Vec<Preparation>, StoreError> {
        let request = DeploymentRequest::Preparations { number };
        answer!(self, request, Reply::Deployments(DeploymentReply::Preparations(list)) => list)
    }

    /// Removes deployments that neither serve, nor are being prepared, nor are among the newest (a setting of the engine), and
    /// contents that none uses. Returns how many deployments went. Done by itself now and then.
    pub async fn prune_deployments(&self) -> Result<u64, StoreError> {
        answer!(self, DeploymentRequest::Prune, Reply::Deployments(DeploymentReply::Pruned(count)) => count)
    }

    /// What was last imported from a folder: path to SHA-256. Empty if nothing ever was.
    pub async fn folder_imports(&self, folder: &str) -> Result<BTreeMap<String, String>, StoreError> {
        let request = DeploymentRequest::FolderImports {
            folder: folder.to_owned(),
        };
        answer!(self, request, Reply::Deployments(DeploymentReply::FolderImports(files)) => files)
    }

    /// Remembers what was imported from a folder, in place of what was remembered.
    pub async fn set_folder_imports(&self, folder: &str, files: BTreeMap<String, String>) -> Result<(), StoreError> {
        let request = DeploymentRequest::SetFolderImports {
            folder: folder.to_owned(),
            files,
        };
        answer!(self, request, Reply::Deployments(DeploymentReply::Done) => ())
    }
}
