//! Secrets that objects name. They come here sealed; the store never sees what they say.

use serde::{Deserialize, Serialize};
use tenon_model::{ObjectName, Timestamp};

use crate::engine::{Reply, RequestClass, Store, answer};
use crate::error::StoreError;

/// A secret, sealed with the cluster's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSecret {
    /// Its name.
    pub name: ObjectName,
    /// The sealed value.
    pub sealed: String,
    /// When it was last written.
    pub updated_at: Timestamp,
}

/// Requests about secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretRequest {
    /// See [`Store::put_secret`].
    Put {
        /// Its name.
        name: ObjectName,
        /// The sealed value.
        sealed: String,
        /// Who writes it.
        actor: String,
    },
    /// See [`Store::secrets`].
    List,
    /// See [`Store::delete_secret`].
    Delete {
        /// Its name.
        name: ObjectName,
        /// Who removes it.
        actor: String,
    },
}

impl SecretRequest {
    /// How the request is handled.
    pub fn class(&self) -> RequestClass {
        match self {
            SecretRequest::List => RequestClass::Read,
            _ => RequestClass::Write,
        }
    }
}

/// Answers about secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretReply {
    /// When it was written.
    Written(Timestamp),
    /// It was done.
    Done,
    /// All secrets, by name.
    List(Vec<SealedSecret>),
}

impl Store {
    /// Creates or replaces a secret; returns when.
    pub async fn put_secret(&self, name: &ObjectName, sealed: &str, actor: &str) -> Result<Timestamp, StoreError> {
        let request = SecretRequest::Put {
            name: name.clone(),
            sealed: sealed.to_owned(),
            actor: actor.to_owned(),
        };
        answer!(self, request, Reply::Secrets(SecretReply::Written(at)) => at)
    }

    /// All secrets, by name.
    pub async fn secrets(&self) -> Result<Vec<SealedSecret>, StoreError> {
        answer!(self, SecretRequest::List, Reply::Secrets(SecretReply::List(secrets)) => secrets)
    }

    /// Removes a secret; an error if there is none.
    pub async fn delete_secret(&self, name: &ObjectName, actor: &str) -> Result<(), StoreError> {
        let request = SecretRequest::Delete {
            name: name.clone(),
            actor: actor.to_owned(),
        };
        answer!(self, request, Reply::Secrets(SecretReply::Done) => ())
    }
}
