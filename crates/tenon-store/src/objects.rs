//! Objects, the log of their revisions, and the record of who changed what.

use serde::{Deserialize, Serialize};
use tenon_model::{Object, ObjectBody, ObjectKey, Revision, Timestamp};

use crate::engine::{Reply, RequestClass, Store, answer};
use crate::error::StoreError;

/// All objects at one revision.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ObjectSet {
    /// The revision.
    pub revision: Revision,
    /// The objects, in the order of kind and name.
    pub objects: Vec<Object>,
}

/// What changed between two revisions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ObjectDelta {
    /// The revision now.
    pub revision: Revision,
    /// Objects written since, as they are now.
    pub changed: Vec<Object>,
    /// Objects removed since.
    pub removed: Vec<ObjectKey>,
    /// Whether this is all that changed. False if the log does not reach back so far: load everything.
    pub complete: bool,
}

/// One change of one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ObjectChange {
    /// Creates or replaces it.
    Put {
        /// Which object.
        key: ObjectKey,
        /// All its fields.
        body: ObjectBody,
        /// The manifest that it comes from.
        manifest: Option<String>,
        /// Only if it has this version (0: only if it does not exist).
        if_version: Option<u64>,
    },
    /// Removes it; an error if it does not exist.
    Delete {
        /// Which object.
        key: ObjectKey,
        /// Only if it has this version.
        if_version: Option<u64>,
    },
}

impl ObjectChange {
    /// The object that it is about.
    pub fn key(&self) -> &ObjectKey {
        match self {
            ObjectChange::Put { key, .. } | ObjectChange::Delete { key, .. } => key,
        }
    }
}

/// What a write of objects did.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct WrittenObjects {
    /// The revision that it made; the present one if there was nothing to change.
    pub revision: Revision,
    /// The objects that were put, in the order of the changes.
    pub objects: Vec<Object>,
}

/// Who changed what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its place in the record.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// Who: a user, a component, a file.
    pub actor: String,
    /// `create`, `update` or `delete`.
    pub action: String,
    /// The kind of what was changed; `user` and `secret` for those.
    pub kind: String,
    /// The name of what was changed.
    pub name: String,
    /// The revision that the change made; none for what is no object.
    pub revision: Option<Revision>,
}

/// Requests about objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ObjectRequest {
    /// See [`Store::objects`].
    All,
    /// See [`Store::objects_since`].
    Since(Revision),
    /// See [`Store::object`].
    Get(ObjectKey),
    /// See [`Store::write_objects`].
    Write {
        /// What to change.
        changes: Vec<ObjectChange>,
        /// Who changes it.
        actor: String,
    },
    /// See [`Store::audit`].
    Audit {
        /// Entries before this one; none: from the newest.
        after: Option<u64>,
        /// How many at most.
        limit: u32,
    },
}

impl ObjectRequest {
    /// How the request is handled.
    pub fn class(&self) -> RequestClass {
        match self {
            ObjectRequest::Write { .. } => RequestClass::Write,
            _ => RequestClass::Read,
        }
    }
}

/// Answers about objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ObjectReply {
    /// All objects.
    Set(ObjectSet),
    /// What changed.
    Delta(ObjectDelta),
    /// One object.
    One(Option<Object>),
    /// What a write did.
    Written(WrittenObjects),
    /// Entries of the record, the newest first.
    Audit(Vec<AuditEntry>),
}

impl Store {
    /// All objects, at one revision.
    pub async fn objects(&self) -> Result<ObjectSet, StoreError> {
        answer!(self, ObjectRequest::All, Reply::Objects(ObjectReply::Set(set)) => set)
    }

    /// What changed since a revision.
    pub async fn objects_since(&self, revision: Revision) -> Result<ObjectDelta, StoreError> {
        answer!(self, ObjectRequest::Since(revision), Reply::Objects(ObjectReply::Delta(delta)) => delta)
    }

    /// One object.
    pub async fn object(&self, key: &ObjectKey) -> Result<Option<Object>, StoreError> {
        answer!(self, ObjectRequest::Get(key.clone()), Reply::Objects(ObjectReply::One(object)) => object)
    }

    /// Changes objects, all or none of them, making one new revision, and records who did it.
    pub async fn write_objects(&self, changes: Vec<ObjectChange>, actor: &str) -> Result<WrittenObjects, StoreError> {
        let request = ObjectRequest::Write {
            changes,
            actor: actor.to_owned(),
        };
        answer!(self, request, Reply::Objects(ObjectReply::Written(written)) => written)
    }

    /// Who changed what, the newest first: entries before `after`, or the newest.
    pub async fn audit(&self, after: Option<u64>, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let request = ObjectRequest::Audit { after, limit };
        answer!(self, request, Reply::Objects(ObjectReply::Audit(entries)) => entries)
    }
}
