//! Components and their health.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenon_model::{Access, Member, MemberState, Revision, Role};

use super::endpoint::{NoParams, Nothing, endpoint};

endpoint! {
    /// The cluster's components and how they are.
    GetStatus = "getStatus" Get "/v1/status" Some(Access::Viewer), (NoParams, Nothing) -> ClusterStatus;
    /// The cluster's members; waits for a change if asked to. What load balancers follow.
    ListMembers = "listMembers" Get "/v1/members" Some(Access::Viewer), (MembersQuery, Nothing) -> MembersReply;
    /// A component without a store of its own says how it is; only of itself, known by its certificate.
    AnnounceMember = "announceMember" Put "/v1/members/{name}" None, (MemberPath, Member) -> Nothing;
    /// Forgets a component that has ended and will not come back.
    ForgetMember = "forgetMember" Delete "/v1/members/{name}" Some(Access::Admin), (MemberPath, Nothing) -> Nothing;
}

/// Which member is meant.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MemberPath {
    /// Its name.
    pub name: String,
}

/// The cluster at one glance.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ClusterStatus {
    /// The cluster's name.
    pub cluster: String,
    /// The revision of the objects that the answering server holds.
    #[serde(default)]
    pub revision: Revision,
    /// The deployment that is live; 0 for none.
    #[serde(default)]
    pub deployment: u64,
    /// Every component, in the order of its role and name.
    pub components: Vec<ComponentStatus>,
}

/// One component. The same shape that `tenon status --output json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentStatus {
    /// Its name, such as `server1`.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Its process id; none while it does not run.
    pub pid: Option<u32>,
    /// `running`, `starting`, `stopped`, `restarting`, `not-ready`, `draining` or `dead`.
    pub state: String,
    /// Whether it takes work.
    pub ready: bool,
    /// Why it is not ready; empty if it is.
    #[serde(default)]
    pub reason: String,
    /// The version of its binary; empty while it does not run.
    pub version: String,
    /// Where clients reach it; none for a role without such an address.
    pub address: Option<String>,
    /// Its control address; none for the store.
    pub control_address: Option<String>,
    /// How long its process runs; none while it does not.
    pub uptime_seconds: Option<u64>,
    /// Its resident memory; none while it does not run.
    pub memory_bytes: Option<u64>,
    /// The deployment that a server serves; 0 for none and for other roles.
    #[serde(default)]
    pub deployment: u64,
    /// The revision of the objects that it holds; 0 for a role that holds none.
    #[serde(default)]
    pub revision: Revision,
}

impl ComponentStatus {
    /// What the cluster knows of a member, as its status at `now` by the store's clock.
    pub fn of_member(member: &Member, now: tenon_model::Timestamp) -> Self {
        let dead = matches!(member.state, MemberState::Dead | MemberState::Stopped);
        let state = match member.state {
            MemberState::Starting => "starting",
            MemberState::Ready => "running",
            MemberState::NotReady => "not-ready",
            MemberState::Draining => "draining",
            MemberState::Stopped => "stopped",
            MemberState::Dead => "dead",
        };
        Self {
            name: member.name.clone(),
            role: member.role,
            pid: (!dead).then_some(member.pid),
            state: state.to_owned(),
            ready: member.state == MemberState::Ready,
            reason: member.reason.clone(),
            version: member.version.clone(),
            address: member.address.clone(),
            control_address: member.control_address.clone(),
            uptime_seconds: (!dead).then(|| now.since(member.started_at).as_secs()),
            memory_bytes: (!dead).then_some(member.memory_bytes),
            deployment: member.deployment,
            revision: member.revision,
        }
    }
}

/// Whether to wait for a change of the members.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct MembersQuery {
    /// The `cursor` of the last answer: wait until the members differ from those. None: answer at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// How long to wait at most, in milliseconds; 25,000 if not given and never more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// The cluster's members.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MembersReply {
    /// What to send as `after` to wait for the next change.
    pub cursor: u64,
    /// Every member known, dead ones too.
    pub members: Vec<Member>,
}

/// What `/readyz?verbose` of a control address answers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct HealthReport {
    /// The component's name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Whether it takes work: every check passed.
    pub ready: bool,
    /// The version of its binary.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Calls of services that it has not answered yet; 0 for a role that runs none.
    #[serde(default)]
    pub in_flight: u64,
    /// What was looked at.
    pub checks: Vec<HealthCheck>,
}

/// One condition of being ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthCheck {
    /// What it is about: `objects`, `deployment`, `workers`, `store`, `draining` …
    pub name: String,
    /// Whether it holds.
    pub ok: bool,
    /// What is wrong, or how it is.
    #[serde(default)]
    pub detail: String,
}
