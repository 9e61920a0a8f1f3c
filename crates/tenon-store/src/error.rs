//! What goes wrong in the store. Errors travel over the socket, so causes are texts.

use serde::{Deserialize, Serialize};
use tenon_model::ObjectKey;

/// Why an operation was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum StoreError {
    /// Somebody else wrote the object in between.
    #[error("{key} has version {found}, not {expected}")]
    VersionConflict {
        /// The object.
        key: ObjectKey,
        /// The version that the writer knew; 0 for none.
        expected: u64,
        /// The version that it has; 0 if it does not exist.
        found: u64,
    },
    /// A lease, a claim or a job's cursor is no longer the caller's: another one has taken over.
    #[error("taken over by another: {0}")]
    Fenced(String),
    /// What was to be changed does not exist.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The operation makes no sense in the present state.
    #[error("{0}")]
    Conflict(String),
    /// The request itself is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The store could not be reached, or did not answer, within the call's deadline.
    #[error("the store is not available: {detail}")]
    Unavailable {
        /// What was tried.
        detail: String,
        /// Whether the operation may have been done all the same: it was sent and its answer is missing.
        maybe_done: bool,
    },
    /// The engine could not read or write; the operation was not done.
    #[error("the store can't read or write its data: {0}")]
    Storage(String),
    /// A commit failed. Nobody can know what is on disk now, so the process must end; on the next start it is known again.
    #[error("the store failed to commit and must be restarted: {0}")]
    Fatal(String),
    /// Another process has the files open.
    #[error("{0}")]
    Locked(String),
    /// The files were written by a newer version.
    #[error(
        "{path} has schema version {found}; this version of Tenon knows {known}: use the newer version that wrote it"
    )]
    NewerSchema {
        /// The file.
        path: String,
        /// Its schema version.
        found: u32,
        /// The newest schema version known here.
        known: u32,
    },
    /// The two ends of the socket do not understand each other.
    #[error("protocol of the store's socket: {0}")]
    Protocol(String),
}

impl StoreError {
    /// Whether trying again later, unchanged, may help.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            StoreError::Unavailable { .. } | StoreError::Fatal(_) | StoreError::Storage(_)
        )
    }
}
