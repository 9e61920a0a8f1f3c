//! Manifests: many objects at once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenon_model::{Access, FieldProblem, ObjectKey, ObjectName, Revision};

use super::endpoint::{NoParams, Nothing, endpoint};

endpoint! {
    /// What applying these objects would change.
    PlanManifests = "planManifests" Post "/v1/manifests/plan" Some(Access::Viewer), (NoParams, ApplyRequest) -> Plan;
    /// Applies these objects, all or none.
    ApplyManifests = "applyManifests" Post "/v1/manifests/apply" Some(Access::Developer), (NoParams, ApplyRequest) -> ApplyReply;
    /// Every object as it was written; literal secrets are sealed.
    ExportManifests = "exportManifests" Get "/v1/manifests/export" Some(Access::Developer), (NoParams, Nothing) -> ApplyRequest;
}

/// One object of a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ManifestObject {
    /// The kind's name.
    pub kind: String,
    /// The object's name.
    pub name: ObjectName,
    /// Its fields as written.
    pub body: Value,
    /// The manifest that owns it, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
}

/// Objects to plan or to apply.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ApplyRequest {
    /// The objects.
    pub objects: Vec<ManifestObject>,
    /// Also delete objects that are not among these.
    #[serde(default)]
    pub prune: bool,
    /// With `prune`: only objects owned by these manifests. Empty: any object.
    #[serde(default)]
    pub prune_manifests: Vec<String>,
    /// Answer only when every live server serves the change, or after this many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It does not exist yet.
    Create,
    /// Fields differ.
    Change,
    /// It goes.
    Delete,
    /// Nothing differs.
    Keep,
}

/// A field that differs. Secrets show as `********`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FieldChange {
    /// The field, as a dotted path.
    pub field: String,
    /// Its value now; none if it is not set.
    pub old: Option<Value>,
    /// Its new value; none if it is taken away.
    pub new: Option<Value>,
}

/// What happens to one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectChange {
    /// Which object.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// What happens to it.
    pub action: Action,
    /// Which fields change, for `change`.
    #[serde(default)]
    pub fields: Vec<FieldChange>,
}

/// What applying would change. Objects that stay as they are aren't listed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The changes.
    pub changes: Vec<ObjectChange>,
    /// How many objects stay as they are.
    pub unchanged: u64,
    /// What is allowed but looks wrong, such as a service that is not deployed yet.
    #[serde(default)]
    pub warnings: Vec<FieldProblem>,
}

/// What applying changed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ApplyReply {
    /// What was done.
    pub plan: Plan,
    /// The revision that the cluster's objects have now.
    pub revision: Revision,
    /// Whether every live server serves the change; false if it was not asked for or the time ran out.
    pub acknowledged: bool,
}
