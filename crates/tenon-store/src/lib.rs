//! Everything durable: objects, deployments, runs, members, leases, users and secrets, behind one cheap handle, [`Store`].
//!
//! An operation is a value: a [`Request`] that an [`Engine`] turns into a [`Reply`]. [`SqliteEngine`] does so on `state.db`;
//! [`RemoteEngine`] sends it to the process that has the file open ([`StoreServer`]). The typed methods of [`Store`] are all
//! that others call; there is one file for each thing they are about, and engines have files of the same names.
//!
//! To add an operation, add a variant to the request and the reply of its thing, say in `class` whether it writes, write the
//! typed method beside it, do it in `sqlite/<thing>.rs`, and add its behaviours to `conformance/<thing>.rs`.
//!
//! No decision about time is taken outside: who holds a lease, whose claim has expired and who is dead is judged by the clock
//! that the engine was given, in the transaction that needs to know.

mod answers;
mod background;
mod cache;
mod canary;
mod deployments;
mod engine;
mod error;
mod leases;
mod locks;
mod members;
mod memory;
mod objects;
mod quotas;
mod reports;
mod runs;
mod secrets;
mod settings;
mod socket;
mod sqlite;
mod users;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

pub use answers::{AnswerClaim, AnswerReply, AnswerRequest};
pub use background::{
    BackgroundClaim, BackgroundClaimer, BackgroundOutcome, BackgroundReply, BackgroundRequest, BackgroundState,
    BackgroundSummary, ClaimedBackground, NewBackground,
};
pub use cache::{CacheAction, CacheEntry, CacheFilter, CacheMatch, CacheReply, CacheRequest, CacheValue};
pub use canary::{CanaryCounts, OutcomeCounts};
pub use deployments::{
    DEFAULT_GROUP, DeploymentFile, DeploymentRecord, DeploymentReply, DeploymentRequest, FileHash, NewDeployment,
    Preparation, PreparationState, ServiceRecord,
};
pub use engine::{Call, Engine, Event, Events, Reply, Request, RequestClass, Store};
pub use error::StoreError;
pub use leases::{Lease, LeaseReply, LeaseRequest};
pub use locks::{Lock, LockReply, LockRequest, LockTry};
pub use members::{MemberReply, MemberRequest};
pub use memory::Quotas;
pub use objects::{AuditEntry, ObjectChange, ObjectDelta, ObjectReply, ObjectRequest, ObjectSet, WrittenObjects};
pub use quotas::{QuotaGrant, QuotaKind, QuotaReply, QuotaRequest, QuotaSpec, QuotaUnit};
pub use reports::{Report, ReportReply, ReportRequest};
pub use runs::{
    ClaimedRun, FinishedRun, JobCursor, NewRun, OnLost, Overlap, PlanStep, RunReply, RunRequest, RunRetention,
};
pub use secrets::{SealedSecret, SecretReply, SecretRequest};
pub use settings::{CacheSettings, ClientSettings, SocketSettings, SqliteSettings};
pub use socket::{RemoteEngine, StoreServer};
pub use sqlite::SqliteEngine;
pub use users::{SessionRecord, User, UserReply, UserRequest};
