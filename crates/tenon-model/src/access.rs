//! What a component is (role) and what a user may do (access).

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a component of the cluster is. One process plays one role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Owns the SQLite files; everyone else is its client.
    Store,
    /// Runs channels, services and outgoing connections.
    Server,
    /// Decides when a job is due.
    Scheduler,
    /// The web interface.
    Dashboard,
    /// The only address that clients need.
    LoadBalancer,
    /// The command line of the environment's owner: no process of the cluster, but an identity with a certificate.
    Operator,
}

impl Role {
    /// Every role, in the order in which components are started.
    pub const ALL: [Role; 6] = [
        Role::Store,
        Role::Server,
        Role::Scheduler,
        Role::Dashboard,
        Role::LoadBalancer,
        Role::Operator,
    ];

    /// The role's name in files, certificates and output, such as `load-balancer`.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Store => "store",
            Role::Server => "server",
            Role::Scheduler => "scheduler",
            Role::Dashboard => "dashboard",
            Role::LoadBalancer => "load-balancer",
            Role::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Role::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| format!("'{text}' is not a role"))
    }
}

/// What a user may do; each level includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Sees everything but secrets.
    Viewer,
    /// Invokes and deploys services, and changes objects.
    Developer,
    /// Also runs, pauses and drains.
    Operator,
    /// Also manages users and secrets.
    Admin,
}

impl Access {
    /// The level's name, such as `operator`.
    pub fn as_str(self) -> &'static str {
        match self {
            Access::Viewer => "viewer",
            Access::Developer => "developer",
            Access::Operator => "operator",
            Access::Admin => "admin",
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
