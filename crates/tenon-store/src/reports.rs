//! Reports: what a component says of itself every second for others to look at. Best effort: the last one of each, in the
//! memory of the process that has the files open, for a while.

use serde::{Deserialize, Serialize};
use tenon_model::Timestamp;

use crate::engine::{Reply, Store, answer};
use crate::error::StoreError;

/// What a component said last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whose it is.
    pub name: String,
    /// What it says, as JSON; what is in it is a matter of who writes and who reads.
    pub body: String,
    /// When it said so, by the store's clock.
    pub at: Timestamp,
}

/// Requests about reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReportRequest {
    /// See [`Store::put_report`].
    Put {
        /// Whose it is.
        name: String,
        /// What it says.
        body: String,
    },
    /// See [`Store::reports`].
    List,
}

/// Answers about reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReportReply {
    /// It is kept.
    Done,
    /// All there are.
    List(Vec<Report>),
}

impl Store {
    /// Keeps what a component says of itself, in place of what it said before. Forgotten when it has said nothing for ten
    /// minutes, when the store restarts, or when 64 others said something later. [`StoreError::Invalid`] if it is longer than
    /// 1 MiB.
    pub async fn put_report(&self, name: &str, body: String) -> Result<(), StoreError> {
        let name = name.to_owned();
        answer!(self, ReportRequest::Put { name, body }, Reply::Reports(ReportReply::Done) => ())
    }

    /// What each component said last, by name.
    pub async fn reports(&self) -> Result<Vec<Report>, StoreError> {
        answer!(self, ReportRequest::List, Reply::Reports(ReportReply::List(reports)) => reports)
    }
}
