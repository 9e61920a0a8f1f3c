//! Objects and their kinds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenon_model::{Access, KindGroup, Object, ObjectName, Revision};

use super::endpoint::{NoParams, Nothing, Page, endpoint};

endpoint! {
    /// Every kind of object with its schema.
    ListKinds = "listKinds" Get "/v1/kinds" Some(Access::Viewer), (NoParams, Nothing) -> Page<KindDescription>;
    /// Objects by kind and name; secrets are masked.
    ListObjects = "listObjects" Get "/v1/objects" Some(Access::Viewer), (ObjectsQuery, Nothing) -> Page<Object>;
    /// One object; secrets are masked.
    GetObject = "getObject" Get "/v1/objects/{kind}/{name}" Some(Access::Viewer), (ObjectPath, Nothing) -> Object;
    /// Creates or replaces an object.
    PutObject = "putObject" Put "/v1/objects/{kind}/{name}" Some(Access::Developer), (WriteParams, ObjectWrite) -> WriteReply;
    /// Removes an object.
    DeleteObject = "deleteObject" Delete "/v1/objects/{kind}/{name}" Some(Access::Developer), (WriteParams, Nothing) -> WriteReply;
    /// Tries an outgoing connection.
    PingOutgoing = "pingOutgoing" Post "/v1/objects/{kind}/{name}/ping" Some(Access::Operator), (ObjectPath, Nothing) -> PingReply;
}

/// A kind of object.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct KindDescription {
    /// The kind's name, such as `rest-channel`.
    pub name: String,
    /// What it is called in headings.
    pub title: String,
    /// What it is for.
    pub group: KindGroup,
    /// The only name that an object of this kind can have; none if any name will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_name: Option<String>,
    /// JSON Schema of the fields.
    pub schema: Value,
}

/// Which objects are wanted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ObjectsQuery {
    /// Only this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many at most; 100 if not given, never more than 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Which object is meant.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ObjectPath {
    /// The kind's name.
    pub kind: String,
    /// The object's name.
    pub name: ObjectName,
}

/// Which object is written, on what condition, and what the answer waits for.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WriteParams {
    /// The kind's name.
    pub kind: String,
    /// The object's name.
    pub name: ObjectName,
    /// Write only if the object has this version (0: only if it does not exist). Also taken from the header `If-Match`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_version: Option<u64>,
    /// Answer only when every live server serves the change, or after this many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// The new fields of an object.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ObjectWrite {
    /// Every field; those left out take their defaults. A masked secret (`********`) keeps its old value.
    pub body: Value,
}

/// What a write did.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WriteReply {
    /// The revision that the cluster's objects have now.
    pub revision: Revision,
    /// The object's new version; 0 if it was removed.
    pub version: u64,
    /// Whether every live server serves the change; false if it was not asked for or the time ran out.
    pub acknowledged: bool,
}

/// How an outgoing connection answered.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PingReply {
    /// Whether the other side answered.
    pub ok: bool,
    /// What it answered, or what went wrong.
    pub detail: String,
    /// How long it took.
    pub duration_ms: u64,
}
