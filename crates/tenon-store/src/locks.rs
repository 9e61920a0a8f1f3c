//! Locks of services: held by one call at a time over all servers of the cluster, for a time, and fenced.
//!
//! A lock is a lease with two differences. Its names come from users' data, so that nothing of a lock stays behind that nobody
//! holds: its fence is a number of the whole cluster. And whoever waits for it is noted, so that it goes to another server
//! before the one that released it takes it again.

use serde::{Deserialize, Serialize};
use tenon_model::{InstanceId, Timestamp};

use crate::engine::{Reply, RequestClass, Store, answer};
use crate::error::StoreError;

/// A lock that somebody holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Its name.
    pub name: String,
    /// The server that holds it for one of its calls.
    pub server: String,
    /// The life of the server's process.
    pub instance: InstanceId,
    /// The fence: grows with each time that any lock is given.
    pub token: u64,
    /// When it ends if it is not renewed, by the store's clock.
    pub expires_at: Timestamp,
}

/// What came of trying to get a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockTry {
    /// It is the caller's.
    Given(Lock),
    /// Somebody else has it, or is to get it first.
    Taken {
        /// When it ends by itself at the latest unless it is renewed, in milliseconds.
        ends_in_ms: u64,
    },
}

/// Requests about locks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockRequest {
    /// See [`Store::acquire_lock`].
    Acquire {
        /// Which lock.
        name: String,
        /// The server's name.
        server: String,
        /// The life of its process.
        instance: InstanceId,
        /// For how long.
        ttl_ms: u64,
        /// Whether the caller will try again.
        waits: bool,
    },
    /// See [`Store::renew_lock`].
    Renew {
        /// Which lock.
        name: String,
        /// Its fence.
        token: u64,
        /// For how long from now on.
        ttl_ms: u64,
    },
    /// See [`Store::release_lock`].
    Release {
        /// Which lock.
        name: String,
        /// Its fence.
        token: u64,
    },
    /// See [`Store::lock`].
    Get {
        /// Which lock.
        name: String,
    },
}

impl LockRequest {
    /// How the request is handled.
    pub fn class(&self) -> RequestClass {
        match self {
            LockRequest::Get { .. } => RequestClass::Read,
            _ => RequestClass::Write,
        }
    }
}

/// Answers about locks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockReply {
    /// What came of trying.
    Try(LockTry),
    /// The lock as it is now, if it is held.
    Lock(Option<Lock>),
    /// Whether it was the caller's.
    Released(bool),
}

impl Store {
    /// Tries to get a lock for a call of this server. Who says that it waits is noted, and for the next two seconds the lock
    /// is kept for that server when it becomes free; [`crate::Event::Locks`] tells then. [`StoreError::Conflict`] if more
    /// locks are held or waited for than the engine's settings allow.
    pub async fn acquire_lock(
        &self,
        name: &str,
        server: &str,
        instance: &InstanceId,
        ttl_ms: u64,
        waits: bool,
    ) -> Result<LockTry, StoreError> {
        let request = LockRequest::Acquire {
            name: name.to_owned(),
            server: server.to_owned(),
            instance: instance.clone(),
            ttl_ms,
            waits,
        };
        answer!(self, request, Reply::Locks(LockReply::Try(result)) => result)
    }

    /// Keeps a lock for so long from now on: it as it is then, or none if it has ended or somebody else has it.
    pub async fn renew_lock(&self, name: &str, token: u64, ttl_ms: u64) -> Result<Option<Lock>, StoreError> {
        let request = LockRequest::Renew {
            name: name.to_owned(),
            token,
            ttl_ms,
        };
        answer!(self, request, Reply::Locks(LockReply::Lock(lock)) => lock)
    }

    /// Gives a lock back; false if it was no longer held under this token. The locks of a server that died are given back by
    /// the store.
    pub async fn release_lock(&self, name: &str, token: u64) -> Result<bool, StoreError> {
        let request = LockRequest::Release {
            name: name.to_owned(),
            token,
        };
        answer!(self, request, Reply::Locks(LockReply::Released(was_held)) => was_held)
    }

    /// Who holds a lock now.
    pub async fn lock(&self, name: &str) -> Result<Option<Lock>, StoreError> {
        let request = LockRequest::Get { name: name.to_owned() };
        answer!(self, request, Reply::Locks(LockReply::Lock(lock)) => lock)
    }
}
