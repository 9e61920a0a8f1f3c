//! Deployments: immutable, numbered versions of user code.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenon_model::{Access, DurationText, Timestamp};

use super::endpoint::{NoParams, Nothing, Page, endpoint};

endpoint! {
    /// Deployments, the newest first.
    ListDeployments = "listDeployments" Get "/v1/deployments" Some(Access::Viewer), (DeploymentsQuery, Nothing) -> Page<DeploymentSummary>;
    /// One deployment with its files and services.
    GetDeployment = "getDeployment" Get "/v1/deployments/{number}" Some(Access::Viewer), (DeploymentPath, Nothing) -> DeploymentDetail;
    /// The files of a deployment with their contents, from which another cluster can make the same one.
    ExportDeployment = "exportDeployment" Get "/v1/deployments/{number}/files" Some(Access::Developer), (DeploymentPath, Nothing) -> ExportedDeployment;
    /// Deploys files; answers when every live server serves them, or with why they were refused.
    CreateDeployment = "createDeployment" Post "/v1/deployments" Some(Access::Developer), (NoParams, DeployRequest) -> DeploymentSummary;
    /// Makes an earlier deployment live again, as a new deployment with its files. Of a canary: ends it, and what is live stays.
    RollBack = "rollBack" Post "/v1/deployments/{number}/rollback" Some(Access::Developer), (DeploymentPath, Nothing) -> DeploymentSummary;
    /// Makes a canary live without waiting for what its calls say.
    PromoteCanary = "promoteCanary" Post "/v1/deployments/{number}/promote" Some(Access::Developer), (DeploymentPath, Nothing) -> DeploymentSummary;
}

/// Which deployments are listed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct DeploymentsQuery {
    /// The `next` of the page before; none for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many at most; 100 if not given, never more than 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Of which worker group; of all if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// Which deployment is meant.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DeploymentPath {
    /// Its number.
    pub number: u64,
}

/// Where a deployment is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeploymentState {
    /// Servers start workers with it.
    Preparing,
    /// It serves a share of the calls beside the live one, until its calls say whether it becomes live.
    Canary,
    /// It serves.
    Live,
    /// It served until a later one did.
    Superseded,
    /// Nothing of it could be deployed.
    Refused,
    /// It was a canary, and was not made live.
    RolledBack,
}

/// How a deployment is tried as a canary before it becomes live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CanaryTerms {
    /// How many of 100 calls it gets: 1 to 99.
    #[schemars(range(min = 1, max = 99))]
    pub share_percent: u8,
    /// How long, before it is decided; what is clearly worse is rolled back sooner.
    pub period: DurationText,
}

/// A deployment in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeploymentSummary {
    /// Its number, counted from 1 in the cluster.
    pub number: u64,
    /// The worker group.
    pub group: String,
    /// Where it is in its life.
    pub state: DeploymentState,
    /// Where the files came from: `services/ of server1`, `tenon deploy by operator`, `roll-back to 3` …
    pub source: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// How many files it has.
    pub files: u64,
    /// How many services it has.
    pub services: u64,
    /// Files that were refused; their last good version, if there is one, is part of the deployment.
    pub refused: Vec<RefusedFile>,
    /// How it is, or was, tried as a canary; none if it was to be live at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryTerms>,
    /// Why a canary was made live or rolled back; empty before that, and for all others.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A file that does not import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedFile {
    /// Its path below `services/`.
    pub path: String,
    /// What is wrong in one line, such as `NameError: name 'x' is not defined`.
    pub error: String,
    /// The traceback.
    pub traceback: String,
    /// Whether an earlier version of the file goes on serving.
    pub kept_previous: bool,
}

/// A deployment whole.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DeploymentDetail {
    /// What a list shows of it.
    #[serde(flatten)]
    pub summary: DeploymentSummary,
    /// Paths and SHA-256 of its files.
    pub file_hashes: Vec<(String, String)>,
    /// Names of its services.
    pub service_names: Vec<String>,
}

/// A file to deploy.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DeployFile {
    /// Its path in the worker group, with `/`: that below `services/` for the default one.
    pub path: String,
    /// Its content, base64.
    pub content: String,
}

/// A deployment with everything that another cluster needs of it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ExportedDeployment {
    /// What a list shows of it.
    #[serde(flatten)]
    pub summary: DeploymentSummary,
    /// Names of its services.
    pub service_names: Vec<String>,
    /// All its files, with the lock of its requirements and their packages.
    pub contents: Vec<DeployFile>,
}

/// Files to deploy.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DeployRequest {
    /// New and changed files; the live deployment's others stay unless `replace` is set.
    pub files: Vec<DeployFile>,
    /// Files to take away.
    #[serde(default)]
    pub remove: Vec<String>,
    /// Whether the files are all there is to be in the group: the live deployment's others go.
    #[serde(default)]
    pub replace: bool,
    /// Whether to deploy even if nothing is another than in the live deployment: with new workers, and with services that were
    /// quarantined.
    #[serde(default)]
    pub again: bool,
    /// The worker group; `default` if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Whether the deployment is a canary first. The first one of a group has nothing to be compared with, and is live at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryRequest>,
}

/// What a deployment that is sent says of its canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CanaryRequest {
    /// How many of 100 calls it gets: 1 to 99.
    #[schemars(range(min = 1, max = 99))]
    pub share_percent: u8,
    /// How long, before it is decided; the server's setting if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<DurationText>,
}
