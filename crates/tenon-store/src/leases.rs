//! Leases: who may do what only one may do. Judged by the store's clock alone.

use serde::{Deserialize, Serialize};
use tenon_model::{InstanceId, Timestamp};

use crate::engine::{Reply, RequestClass, Store, answer};
use crate::error::StoreError;

/// A lease that somebody holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// What it is for, such as `scheduler`.
    pub name: String,
    /// Who holds it.
    pub holder: InstanceId,
    /// Grows with each change of hands: the fence that writes under the lease are checked by.
    pub epoch: u64,
    /// When it ends if it is not renewed, by the store's clock.
    pub expires_at: Timestamp,
}

/// Requests about leases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseRequest {
    /// See [`Store::acquire_lease`].
    Acquire {
        /// Which lease.
        name: String,
        /// Who wants it.
        holder: InstanceId,
        /// For how long.
        ttl_ms: u64,
    },
    /// See [`Store::renew_lease`].
    Renew {
        /// As it was acquired.
        lease: Lease,
        /// For how long from now on.
        ttl_ms: u64,
    },
    /// See [`Store::release_lease`].
    Release(Lease),
    /// See [`Store::lease`].
    Get {
        /// Which lease.
        name: String,
    },
}

impl LeaseRequest {
    /// How the request is handled.
    pub fn class(&self) -> RequestClass {
        match self {
            LeaseRequest::Get { .. } => RequestClass::Read,
            _ => RequestClass::Write,
        }
    }
}

/// Answers about leases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseReply {
    /// The lease, if it was given or there is one.
    Lease(Option<Lease>),
    /// It was done.
    Done,
}

impl Store {
    /// Takes a lease that nobody holds. None if somebody else holds it. Who holds it already gets it again, with the same
    /// epoch and a new end.
    pub async fn acquire_lease(
        &self,
        name: &str,
        holder: &InstanceId,
        ttl_ms: u64,
    ) -> Result<Option<Lease>, StoreError> {
        let request = LeaseRequest::Acquire {
            name: name.to_owned(),
            holder: holder.clone(),
            ttl_ms,
        };
        answer!(self, request, Reply::Leases(LeaseReply::Lease(lease)) => lease)
    }

    /// Keeps a lease: it as it is now, or none if it has ended or somebody else has it.
    pub async fn renew_lease(&self, lease: &Lease, ttl_ms: u64) -> Result<Option<Lease>, StoreError> {
        let request = LeaseRequest::Renew {
            lease: lease.clone(),
            ttl_ms,
        };
        answer!(self, request, Reply::Leases(LeaseReply::Lease(lease)) => lease)
    }

    /// Gives a lease back; nothing if it is no longer held.
    pub async fn release_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        answer!(self, LeaseRequest::Release(lease.clone()), Reply::Leases(LeaseReply::Done) => ())
    }

    /// Who holds a lease now.
    pub async fn lease(&self, name: &str) -> Result<Option<Lease>, StoreError> {
        let request = LeaseRequest::Get { name: name.to_owned() };
        answer!(self, request, Reply::Leases(LeaseReply::Lease(lease)) => lease)
    }
}
