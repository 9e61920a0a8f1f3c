//! Members: which components there are and how they are. When they last spoke is kept in memory only.

use serde::{Deserialize, Serialize};
use tenon_model::{InstanceId, Member, Timestamp};

use crate::engine::{Reply, RequestClass, Store, answer};
use crate::error::StoreError;

/// Requests about members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberRequest {
    /// See [`Store::heartbeat`].
    Heartbeat(Box<Member>),
    /// See [`Store::member_lost`].
    Lost {
        /// Its name.
        name: String,
        /// The life that ended.
        instance: InstanceId,
    },
    /// See [`Store::members`].
    List,
    /// See [`Store::forget_member`].
    Forget {
        /// Its name.
        name: String,
    },
}

impl MemberRequest {
    /// How the request is handled.
    pub fn class(&self) -> RequestClass {
        match self {
            MemberRequest::Heartbeat(_) | MemberRequest::Lost { .. } | MemberRequest::List => RequestClass::Memory,
            MemberRequest::Forget { .. } => RequestClass::Write,
        }
    }
}

/// Answers about members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberReply {
    /// A heartbeat was heard at this instant of the store's clock.
    Heard(Timestamp),
    /// It was done.
    Done,
    /// All members, by name.
    List(Vec<Member>),
}

impl Store {
    /// Says that a component lives and how it is (`seen_at` is set by the store). Returns the store's time. To be called about
    /// once a second; over the socket, the end of the connection that it was called on says that the component died.
    pub async fn heartbeat(&self, member: Member) -> Result<Timestamp, StoreError> {
        let request = MemberRequest::Heartbeat(Box::new(member));
        answer!(self, request, Reply::Members(MemberReply::Heard(now)) => now)
    }

    /// Says that this life of a component has ended; a heartbeat revives it.
    pub async fn member_lost(&self, name: &str, instance: InstanceId) -> Result<(), StoreError> {
        let request = MemberRequest::Lost {
            name: name.to_owned(),
            instance,
        };
        answer!(self, request, Reply::Members(MemberReply::Done) => ())
    }

    /// Every member, by name; `Dead` are those not heard of for five seconds (a setting of the engine) and those whose
    /// connection has ended.
    pub async fn members(&self) -> Result<Vec<Member>, StoreError> {
        answer!(self, MemberRequest::List, Reply::Members(MemberReply::List(members)) => members)
    }

    /// Forgets a member that will not come back; one that lives is there again with its next heartbeat.
    pub async fn forget_member(&self, name: &str) -> Result<(), StoreError> {
        let request = MemberRequest::Forget { name: name.to_owned() };
        answer!(self, request, Reply::Members(MemberReply::Done) => ())
    }
}
