//! Answers that are kept for idempotency keys: a request under a key is carried out once, whichever server it comes to.

use serde::{Deserialize, Serialize};

use crate::engine::{Reply, RequestClass, Store, answer};
use crate::error::StoreError;

/// What a key is worth to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AnswerClaim {
    /// Nobody had it: the request is to be carried out.
    Yours,
    /// The same request is being carried out.
    Running,
    /// The same request was carried out; this is its answer.
    Answered(Vec<u8>),
    /// Another request came with it.
    OtherRequest,
}

/// Requests about kept answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AnswerRequest {
    /// See [`Store::claim_answer`].
    Look {
        /// The key.
        key: String,
        /// What the request is.
        fingerprint: String,
    },
    /// See [`Store::claim_answer`].
    Claim {
        /// The key.
        key: String,
        /// What the request is.
        fingerprint: String,
        /// For how long.
        claim_ms: u64,
    },
    /// See [`Store::keep_answer`].
    Keep {
        /// The key.
        key: String,
        /// What the request is.
        fingerprint: String,
        /// The answer.
        answer: Vec<u8>,
        /// For how long.
        ttl_ms: u64,
    },
    /// See [`Store::forget_answer`].
    Forget {
        /// The key.
        key: String,
        /// What the request is.
        fingerprint: String,
    },
}

impl AnswerRequest {
    /// How the request is handled.
    pub fn class(&self) -> RequestClass {
        match self {
            AnswerRequest::Look { .. } => RequestClass::Read,
            _ => RequestClass::Write,
        }
    }
}

/// Answers about kept answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AnswerReply {
    /// What the key is worth.
    Claim(AnswerClaim),
    /// It was done.
    Done,
}

impl Store {
    /// Takes a key for a request, known by its fingerprint, unless it was carried out or is being so. The claim ends by itself
    /// after `claim_ms`: whoever had it is taken to be dead, and the request may be carried out anew.
    pub async fn claim_answer(&self, key: &str, fingerprint: &str, claim_ms: u64) -> Result<AnswerClaim, StoreError> {
        // Looking first keeps answers out of what is remembered of writes, and the disk out of repetitions.
        let look = AnswerRequest::Look {
            key: key.to_owned(),
            fingerprint: fingerprint.to_owned(),
        };
        let found: Result<_, StoreError> = answer!(self, look, Reply::Answers(AnswerReply::Claim(claim)) => claim);
        match found? {
            AnswerClaim::Yours => {}
            found => return Ok(found),
        }
        let request = AnswerRequest::Claim {
            key: key.to_owned(),
            fingerprint: fingerprint.to_owned(),
            claim_ms,
        };
        answer!(self, request, Reply::Answers(AnswerReply::Claim(claim)) => claim)
    }

    /// Keeps the answer to a request for so long. Nothing happens if another request has taken the key since, or there is an
    /// answer already.
    pub async fn keep_answer(
        &self,
        key: &str,
        fingerprint: &str,
        answer: Vec<u8>,
        ttl_ms: u64,
    ) -> Result<(), StoreError> {
        let request = AnswerRequest::Keep {
            key: key.to_owned(),
            fingerprint: fingerprint.to_owned(),
            answer,
            ttl_ms,
        };
        answer!(self, request, Reply::Answers(AnswerReply::Done) => ())
    }

    /// Frees the key of a request that was not carried out.
    pub async fn forget_answer(&self, key: &str, fingerprint: &str) -> Result<(), StoreError> {
        let request = AnswerRequest::Forget {
            key: key.to_owned(),
            fingerprint: fingerprint.to_owned(),
        };
        answer!(self, request, Reply::Answers(AnswerReply::Done) => ())
    }
}
