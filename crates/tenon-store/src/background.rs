//! Background calls: calls of services that nobody waits for, kept until they have been made.
//!
//! What a call is about, and what follows from its end, is the server's business; the store sees a `step` that it does not
//! read. It holds what must not be lost: that an open call is one server's at a time, that the end of a call and the calls
//! that follow from it are one transaction, and that a call which waits for others (`then`) gets their ends.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenon_model::{InstanceId, Timestamp};

use crate::engine::{Reply, RequestClass, Store, answer};
use crate::error::StoreError;

/// A call to be kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewBackground {
    /// The correlation id of the call.
    pub cid: String,
    /// The service that is called, for people.
    pub service: String,
    /// What else the server needs to know of it.
    pub step: Value,
    /// What the service gets.
    pub payload: Bytes,
    /// When it may be made, in milliseconds from now.
    pub delay_ms: u64,
}

/// Who takes calls, and for how long without a renewal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackgroundClaimer {
    /// The server's name.
    pub server: String,
    /// The life of its process.
    pub instance: InstanceId,
    /// How long the claim lasts, in milliseconds.
    pub lease_ms: u64,
}

/// A claim of a call: under which number it may be renewed and finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BackgroundClaim {
    /// The call's id.
    pub id: u64,
    /// The number of this attempt.
    pub fence: u64,
}

/// A call that a server has got to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimedBackground {
    /// The claim.
    pub claim: BackgroundClaim,
    /// The correlation id.
    pub cid: String,
    /// The service that is called.
    pub service: String,
    /// What the putter said of it.
    pub step: Value,
    /// What the service gets.
    pub payload: Bytes,
    /// When it was put.
    pub put_at: Timestamp,
    /// How often it was begun and put back, from 0.
    pub retries: u32,
    /// How many servers died while they made it, or let their claim end.
    pub lost: u32,
    /// How the calls ended that this one waited for, in their order.
    pub ends: Vec<BackgroundOutcome>,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackgroundOutcome {
    /// Whether it went well.
    pub is_ok: bool,
    /// What the server has to say of its end, for the call that waits for it.
    pub end: Value,
    /// What went wrong, for people; empty if nothing did.
    pub error: String,
}

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackgroundState {
    /// It waits for its time, or for a server.
    Waiting,
    /// A server makes it.
    Running,
    /// It waits for other calls.
    Blocked,
    /// It has ended, and another one waits for its end.
    Ended,
    /// It failed.
    Failed,
}

/// A call, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackgroundSummary {
    /// Its id.
    pub id: u64,
    /// The correlation id.
    pub cid: String,
    /// The service that is called.
    pub service: String,
    /// Where it stands.
    pub state: BackgroundState,
    /// The server that makes it, or made it last; empty if none did.
    pub server: String,
    /// When it was put.
    pub put_at: Timestamp,
    /// How often it was begun.
    pub attempts: u64,
    /// What went wrong last; empty if nothing did.
    pub error: String,
}

/// Requests about background calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum BackgroundRequest {
    /// See [`Store::put_background`].
    Put {
        /// The calls.
        calls: Vec<NewBackground>,
        /// The one that waits for them.
        then: Option<Box<NewBackground>>,
        /// Who makes them at once.
        claimer: Option<BackgroundClaimer>,
    },
    /// See [`Store::claim_background`].
    Claim {
        /// Who claims.
        claimer: BackgroundClaimer,
        /// How many at most.
        max: u32,
    },
    /// See [`Store::renew_background`].
    Renew {
        /// The claims.
        claims: Vec<BackgroundClaim>,
        /// For how long from now on.
        lease_ms: u64,
    },
    /// See [`Store::finish_background`].
    Finish {
        /// The claim.
        claim: BackgroundClaim,
        /// How it ended.
        outcome: BackgroundOutcome,
        /// What follows.
        next: Vec<NewBackground>,
    },
    /// See [`Store::retry_background`].
    Retry {
        /// The claim.
        claim: BackgroundClaim,
        /// In how long.
        delay_ms: u64,
        /// Why.
        error: String,
    },
    /// See [`Store::release_background`].
    Release {
        /// The claims.
        claims: Vec<BackgroundClaim>,
    },
    /// See [`Store::background`].
    List {
        /// Only those in this state.
        state: Option<BackgroundState>,
        /// Ids below this one; none: from the newest.
        after: Option<u64>,
        /// How many at most.
        limit: u32,
    },
    /// See [`Store::background_open`].
    CountOpen,
}

impl BackgroundRequest {
    /// How the request is handled.
    pub fn class(&self) -> RequestClass {
        match self {
            BackgroundRequest::List { .. } | BackgroundRequest::CountOpen => RequestClass::Read,
            _ => RequestClass::Write,
        }
    }
}

/// Answers about background calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum BackgroundReply {
    /// The claims of the calls that were put, in their order; none if nobody claims them.
    Put(Vec<BackgroundClaim>),
    /// What was claimed.
    Claimed(Vec<ClaimedBackground>),
    /// The claims that are still the caller's.
    Renewed(Vec<BackgroundClaim>),
    /// It was done.
    Done,
    /// Calls, the newest first.
    List(Vec<BackgroundSummary>),
    /// How many are open.
    Open(u64),
}

impl Store {
    /// Keeps calls: all or none, and they will be made though everybody dies. With a `claimer` they are that server's at once,
    /// and its claims are returned (with fence 0 for one that is not due yet, and so is nobody's). `then` becomes due when all the others have ended, and gets their ends.
    /// [`StoreError::Conflict`] if more calls are open than the engine's settings allow.
    pub async fn put_background(
        &self,
        calls: Vec<NewBackground>,
        then: Option<NewBackground>,
        claimer: Option<BackgroundClaimer>,
    ) -> Result<Vec<BackgroundClaim>, StoreError> {
        let request = BackgroundRequest::Put {
            calls,
            then: then.map(Box::new),
            claimer,
        };
        answer!(self, request, Reply::Background(BackgroundReply::Put(claims)) => claims)
    }

    /// Gives a server calls to make: those that are due, the earliest first, among them those whose server died or let its
    /// claim end.
    pub async fn claim_background(
        &self,
        claimer: BackgroundClaimer,
        max: u32,
    ) -> Result<Vec<ClaimedBackground>, StoreError> {
        let request = BackgroundRequest::Claim { claimer, max };
        answer!(self, request, Reply::Background(BackgroundReply::Claimed(calls)) => calls)
    }

    /// Keeps claims. Returns those that are still the caller's; what the others are about is another server's now.
    pub async fn renew_background(
        &self,
        claims: Vec<BackgroundClaim>,
        lease_ms: u64,
    ) -> Result<Vec<BackgroundClaim>, StoreError> {
        let request = BackgroundRequest::Renew { claims, lease_ms };
        answer!(self, request, Reply::Background(BackgroundReply::Renewed(claims)) => claims)
    }

    /// Ends a call and puts what follows from its end, in one transaction. A call that failed is kept for a while for people
    /// to see. [`StoreError::Fenced`] if the call is no longer the caller's.
    pub async fn finish_background(
        &self,
        claim: BackgroundClaim,
        outcome: BackgroundOutcome,
        next: Vec<NewBackground>,
    ) -> Result<(), StoreError> {
        let request = BackgroundRequest::Finish { claim, outcome, next };
        answer!(self, request, Reply::Background(BackgroundReply::Done) => ())
    }

    /// Puts a call back, to be begun again in so many milliseconds. [`StoreError::Fenced`] if it is no longer the caller's.
    pub async fn retry_background(&self, claim: BackgroundClaim, delay_ms: u64, error: &str) -> Result<(), StoreError> {
        let request = BackgroundRequest::Retry {
            claim,
            delay_ms,
            error: error.to_owned(),
        };
        answer!(self, request, Reply::Background(BackgroundReply::Done) => ())
    }

    /// Gives calls back that a server has not begun or gives up because it stops; others may claim them at once.
    pub async fn release_background(&self, claims: Vec<BackgroundClaim>) -> Result<(), StoreError> {
        let request = BackgroundRequest::Release { claims };
        answer!(self, request, Reply::Background(BackgroundReply::Done) => ())
    }

    /// Calls, the newest first: those with an id below `after`, or the newest.
    pub async fn background(
        &self,
        state: Option<BackgroundState>,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<BackgroundSummary>, StoreError> {
        let request = BackgroundRequest::List { state, after, limit };
        answer!(self, request, Reply::Background(BackgroundReply::List(calls)) => calls)
    }

    /// How many calls are open: wait, are being made, or have ended and are waited for.
    pub async fn background_open(&self) -> Result<u64, StoreError> {
        answer!(self, BackgroundRequest::CountOpen, Reply::Background(BackgroundReply::Open(count)) => count)
    }
}
