//! Objects: configured things that may change at any time.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::name::ObjectName;

/// The fields of an object as they were written: references to secrets and variables unresolved, defaults not filled in,
/// literal secrets sealed. A JSON object.
pub type ObjectBody = Value;

/// A point in the history of all objects of the cluster. Each committed change makes the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What identifies an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct ObjectKey {
    /// The kind's name.
    pub kind: String,
    /// The object's name, unique within its kind.
    pub name: ObjectName,
}

impl ObjectKey {
    /// The key of the object of this kind and name.
    pub fn new(kind: impl Into<String>, name: ObjectName) -> Self {
        Self {
            kind: kind.into(),
            name,
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// One configured thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Object {
    /// The kind's name.
    pub kind: String,
    /// The object's name.
    pub name: ObjectName,
    /// Its fields as they were written.
    pub body: ObjectBody,
    /// How often this object was written: 1 at creation. What `If-Match` compares.
    pub version: u64,
    /// The revision of the cluster's objects that wrote it.
    pub revision: Revision,
    /// The manifest that it came from (a file's name below `manifests/`), if it came from one.
    pub manifest: Option<String>,
    /// When it was last written.
    pub updated_at: Timestamp,
}

impl Object {
    /// What identifies this object.
    pub fn key(&self) -> ObjectKey {
        ObjectKey {
            kind: self.kind.clone(),
            name: self.name.clone(),
        }
    }
}
