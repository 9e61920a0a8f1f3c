//! Components as the cluster sees them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::Role;
use crate::clock::Timestamp;
use crate::ids::InstanceId;
use crate::object::Revision;

/// How a component is, as it says itself; `dead` is what others say of one that no longer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MemberState {
    /// Loading; takes no work yet.
    Starting,
    /// Takes work.
    Ready,
    /// Runs, but can't take work now; `reason` of the member says why.
    NotReady,
    /// Finishes what it has and takes nothing new.
    Draining,
    /// Ended by itself, as it was told to.
    Stopped,
    /// Has not been heard of for longer than a heartbeat may take, or has lost its connection to the store.
    Dead,
}

/// A component of the cluster, as its last heartbeat described it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// The component's name, such as `server1`.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// This life of the process.
    pub instance: InstanceId,
    /// Its process id on its host.
    pub pid: u32,
    /// How it is.
    pub state: MemberState,
    /// Why it is not ready, in a sentence; empty if it is.
    pub reason: String,
    /// The version of its binary.
    pub version: String,
    /// Where clients, or the load balancer, reach it over TCP: `host:port`; none for a role without such an address.
    pub address: Option<String>,
    /// The Unix socket on which a server takes requests from a load balancer of the same host.
    pub data_socket: Option<String>,
    /// Where its control address is: `host:port`; none for the store.
    pub control_address: Option<String>,
    /// When the process started.
    pub started_at: Timestamp,
    /// Resident memory in bytes.
    pub memory_bytes: u64,
    /// The revision of the objects that it serves; 0 for a role that holds no objects.
    pub revision: Revision,
    /// The number of the deployment that it serves; 0 for none.
    pub deployment: u64,
    /// When it last spoke, by the store's clock.
    pub seen_at: Timestamp,
}
