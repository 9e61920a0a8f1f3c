//! What a server is given to start, its limits, and why it can't.

use std::collections::HashMap;
use std::fmt;
use std::net::TcpListener as StdTcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use tenon_control::{ControlSettings, Identity, IdentityError};
use tenon_model::{Catalog, Random};
use tenon_store::Store;

use crate::channels::OpenApiSettings;
use crate::deployments::{DeployError, DeploymentSettings, SdkFiles};
use crate::membership::Presence;
use crate::security::ClusterKeyError;
use crate::settings::{BackgroundSettings, DataSettings, HostSettings, InvokeSettings};
use crate::workers::WorkerSettings;

/// Is told whether the server takes work, and why not, whenever that changes.
pub(crate) type ConditionListener = Arc<dyn Fn(bool, String) + Send + Sync>;

/// What a server is given: who it is, where it listens, what it works with.
pub struct ServerParts {
    /// The cluster's name.
    pub cluster: String,
    /// Who the server is.
    pub presence: Presence,
    /// The store.
    pub store: Store,
    /// Its certificate.
    pub identity: Identity,
    /// All kinds.
    pub catalog: Arc<Catalog>,
    /// The file with the cluster's secret key.
    pub secret_key_file: PathBuf,
    /// The first administrator's name and password hash, for a cluster without users.
    pub first_admin: Option<(String, String)>,
    /// The bound socket of the data plane.
    pub data_listener: StdTcpListener,
    /// The Unix socket of the data plane.
    pub data_socket: PathBuf,
    /// The bound socket of the control address.
    pub control_listener: StdTcpListener,
    /// The bound socket on which health and metrics are served over plain HTTP; none if they are not.
    pub probe_listener: Option<StdTcpListener>,
    /// The folder of manifests.
    pub manifests: PathBuf,
    /// The environment variables that objects may name.
    pub environment: Arc<HashMap<String, String>>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// What Python services import, and the program that runs them.
    pub sdk: SdkFiles,
    /// The directory for what only lives as long as the server.
    pub run_dir: PathBuf,
    /// The folder whose files are deployed by themselves.
    pub services_dir: PathBuf,
    /// The folder of what services read as their configuration.
    pub user_config: PathBuf,
    /// Is told how the server is.
    pub condition: ConditionListener,
    /// Limits.
    pub settings: ServerSettings,
}

impl fmt::Debug for ServerParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerParts")
            .field("presence", &self.presence)
            .finish_non_exhaustive()
    }
}

/// Limits of a server, by part.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// Of the data plane.
    pub data: DataSettings,
    /// Of calls and runs.
    pub invoke: InvokeSettings,
    /// Of what services ask of the platform.
    pub host: HostSettings,
    /// Of calls that nobody waits for.
    pub background: BackgroundSettings,
    /// Of the control address.
    pub control: ControlSettings,
    /// Of the store's socket.
    pub store: tenon_store::ClientSettings,
    /// Of outgoing connections.
    pub connections: tenon_connectors::Settings,
    /// Of workers.
    pub workers: WorkerSettings,
    /// Of deployments.
    pub deployments: DeploymentSettings,
    /// Of the OpenAPI document.
    pub openapi: OpenApiSettings,
}

/// Why a server can't start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A socket can't be used.
    #[error("cannot use the socket {what}")]
    Socket {
        /// Which one.
        what: String,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// The cluster's key can't be had.
    #[error(transparent)]
    Key(#[from] ClusterKeyError),
    /// The certificate can't be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The files of deployments have no place.
    #[error(transparent)]
    Deployments(#[from] DeployError),
}
