//! Jobs' cursors and runs: what is due, who runs it, how it ended, and the account of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenon_model::{InstanceId, Timestamp};
use tenon_protocol::control::{JobLedger, RunOutcome, RunSummary};

use crate::engine::{Reply, RequestClass, Store, answer};
use crate::error::StoreError;
use crate::leases::Lease;

/// How far the schedule of a job has been planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobCursor {
    /// How often it was written; what [`PlanStep::expected_version`] must say.
    pub version: u64,
    /// The next instant; none if there is none.
    pub next_at: Option<Timestamp>,
    /// Every instant up to and including this one has been planned.
    pub watermark: Timestamp,
    /// What else the scheduler wants to remember of the job.
    pub state: Value,
}

/// What happens to a run whose server died.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnLost {
    /// Another attempt is made.
    #[default]
    Rerun,
    /// It ends as lost.
    Fail,
}

/// What happens when a run is planned while another of the same job is open (waits or is being run).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// It is skipped.
    #[default]
    Skip,
    /// It waits until the others have ended.
    Queue,
    /// Both are run.
    Allow,
    /// Those that wait are skipped, the one that is being run is ended, and then it is run.
    Replace,
}

/// A run to be written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewRun {
    /// The job's name.
    pub job: String,
    /// The instant that it is planned for.
    pub planned_at: Timestamp,
    /// Why it is not to be run at all (missed by policy); none if it is.
    pub skipped: Option<String>,
    /// The service to call.
    pub service: String,
    /// What the service gets.
    pub payload: Value,
    /// How long an attempt may take.
    pub timeout_ms: u64,
    /// How many attempts are made, at least 1; those that ended with the death of a server do not count.
    pub attempts_max: u32,
    /// The pause before the second attempt; it doubles with each.
    pub retry_delay_ms: u64,
    /// The longest pause between attempts.
    pub retry_delay_max_ms: u64,
    /// What happens when its server dies.
    pub on_lost: OnLost,
    /// What happens when another run of the job is open.
    pub overlap: Overlap,
}

/// How far a job's schedule is to be advanced, and the runs of the instants passed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanStep {
    /// The job's name.
    pub job: String,
    /// The version of the job's cursor that this step was made from; 0 if it has none.
    pub expected_version: u64,
    /// The next instant after this step.
    pub next_at: Option<Timestamp>,
    /// Every instant up to and including this one is planned with this step.
    pub watermark: Timestamp,
    /// What else to remember of the job.
    pub state: Value,
    /// The runs, in the order of their instants.
    pub runs: Vec<NewRun>,
}

/// A run that a server has got to execute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimedRun {
    /// The run's id: stable over its attempts.
    pub id: u64,
    /// The number under which this attempt may be renewed and finished.
    pub fence: u64,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The job's name.
    pub job: String,
    /// The instant that it was planned for.
    pub planned_at: Timestamp,
    /// Whether somebody asked for it, besides the schedule.
    pub manual: bool,
    /// The service to call.
    pub service: String,
    /// What the service gets.
    pub payload: Value,
    /// How long the attempt may take.
    pub timeout_ms: u64,
    /// When the claim ends if it is not renewed, by the store's clock.
    pub expires_at: Timestamp,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedRun {
    /// The run's id.
    pub id: u64,
    /// The fence of the claim.
    pub fence: u64,
    /// `Ok`, `Error` or `Timeout`.
    pub outcome: RunOutcome,
    /// What the service answered; the store cuts it at 4 KiB.
    pub output: String,
    /// What went wrong, empty if nothing did; the store cuts it at 16 KiB.
    pub error: String,
    /// The correlation id of the attempt.
    pub cid: String,
    /// How long the attempt took.
    pub duration_ms: u64,
}

/// Which runs are kept; of what is removed, daily sums stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRetention {
    /// Runs that ended longer ago are removed.
    pub keep_ms: u64,
    /// Of more runs than this, the oldest that ended are removed.
    pub runs_max: u64,
}

/// Requests about jobs and runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RunRequest {
    /// See [`Store::plan_runs`].
    Plan {
        /// The lease under which is planned.
        lease: Lease,
        /// One step for each job.
        steps: Vec<PlanStep>,
    },
    /// See [`Store::job_cursors`].
    Cursors,
    /// See [`Store::delete_job`].
    DeleteJob {
        /// The lease under which is planned.
        lease: Lease,
        /// The job's name.
        job: String,
    },
    /// See [`Store::add_manual_run`].
    AddManual(Box<NewRun>),
    /// See [`Store::claim_runs`].
    Claim {
        /// The server's name.
        server: String,
        /// The life of the server's process.
        instance: InstanceId,
        /// How many at most.
        max: u32,
        /// For how long.
        lease_ms: u64,
    },
    /// See [`Store::renew_runs`].
    Renew {
        /// Ids and fences.
        claims: Vec<(u64, u64)>,
        /// For how long from now on.
        lease_ms: u64,
    },
    /// See [`Store::finish_run`].
    Finish(FinishedRun),
    /// See [`Store::runs`].
    List {
        /// The job's name.
        job: String,
        /// Ids below this one; none: from the newest.
        after: Option<u64>,
        /// How many at most.
        limit: u32,
    },
    /// See [`Store::run`].
    Get {
        /// The run's id.
        id: u64,
    },
    /// See [`Store::last_runs`].
    Last,
    /// See [`Store::job_ledger`].
    Ledger {
        /// The job's name.
        job: String,
    },
    /// See [`Store::trim_runs`].
    Trim(RunRetention),
}

impl RunRequest {
    /// How the request is handled.
    pub fn class(&self) -> RequestClass {
        match self {
            RunRequest::Plan { .. }
            | RunRequest::DeleteJob { .. }
            | RunRequest::AddManual(_)
            | RunRequest::Claim { .. }
            | RunRequest::Renew { .. }
            | RunRequest::Finish(_)
            | RunRequest::Trim(_) => RequestClass::Write,
            RunRequest::Cursors
            | RunRequest::List { .. }
            | RunRequest::Get { .. }
            | RunRequest::Last
            | RunRequest::Ledger { .. } => RequestClass::Read,
        }
    }
}

/// Answers about jobs and runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RunReply {
    /// It was done.
    Done,
    /// Job to cursor.
    Cursors(BTreeMap<String, JobCursor>),
    /// One run.
    One(Option<Box<RunSummary>>),
    /// What was claimed.
    Claimed(Vec<ClaimedRun>),
    /// Ids of runs that are still the caller's.
    Renewed(Vec<u64>),
    /// Runs, the newest first.
    List(Vec<RunSummary>),
    /// Job to its newest run.
    Last(BTreeMap<String, RunSummary>),
    /// The account of a job.
    Ledger(Box<JobLedger>),
    /// How many were removed.
    Trimmed(u64),
    /// The run is another's now. Not an error of the engine's, since what it says of overlapping attempts is kept.
    Fenced(String),
}

impl Store {
    /// Advances jobs and writes the runs of the instants passed, in one transaction. [`StoreError::Fenced`], and nothing
    /// done, if the lease is no longer held or a cursor has another version than the step was made from. A scheduled instant
    /// that has a run already gets no second one. A run whose job has an open run is skipped, queued, allowed or takes its
    /// place, as its `overlap` says, judged in the same transaction.
    pub async fn plan_runs(&self, lease: &Lease, steps: Vec<PlanStep>) -> Result<(), StoreError> {
        let request = RunRequest::Plan {
            lease: lease.clone(),
            steps,
        };
        answer!(self, request, Reply::Runs(RunReply::Done) => ())
    }

    /// How far each job has been planned.
    pub async fn job_cursors(&self) -> Result<BTreeMap<String, JobCursor>, StoreError> {
        answer!(self, RunRequest::Cursors, Reply::Runs(RunReply::Cursors(cursors)) => cursors)
    }

    /// Forgets how far a job was planned, and skips its runs that wait; other runs stay until they are too old.
    /// [`StoreError::Fenced`], and nothing done, if the lease is no longer held.
    pub async fn delete_job(&self, lease: &Lease, job: &str) -> Result<(), StoreError> {
        let request = RunRequest::DeleteJob {
            lease: lease.clone(),
            job: job.to_owned(),
        };
        answer!(self, request, Reply::Runs(RunReply::Done) => ())
    }

    /// Writes a run that somebody asked for, besides the schedule. It waits until it may be run beside others of its job.
    pub async fn add_manual_run(&self, run: NewRun) -> Result<RunSummary, StoreError> {
        let request = RunRequest::AddManual(Box::new(run));
        answer!(self, request, Reply::Runs(RunReply::One(Some(run))) => *run)
    }

    /// Gives a server runs to execute: those that wait and are due, the earliest first, and those whose claim ended. Unless
    /// its `overlap` allows it, a run is given only when no older one of its job is open and none is being run.
    pub async fn claim_runs(
        &self,
        server: &str,
        instance: &InstanceId,
        max: u32,
        lease_ms: u64,
    ) -> Result<Vec<ClaimedRun>, StoreError> {
        let request = RunRequest::Claim {
            server: server.to_owned(),
            instance: instance.clone(),
            max,
            lease_ms,
        };
        answer!(self, request, Reply::Runs(RunReply::Claimed(runs)) => runs)
    }

    /// Keeps claims (id and fence). Returns the ids of those that are still the caller's; the others are to be ended: another
    /// attempt has begun, or a newer run takes the place.
    pub async fn renew_runs(&self, claims: Vec<(u64, u64)>, lease_ms: u64) -> Result<Vec<u64>, StoreError> {
        let request = RunRequest::Renew { claims, lease_ms };
        answer!(self, request, Reply::Runs(RunReply::Renewed(ids)) => ids)
    }

    /// Records how an attempt ended. One that failed is tried again later if attempts are left. [`StoreError::Fenced`] if the
    /// run is no longer the caller's. Returns the run as it is now.
    pub async fn finish_run(&self, finished: FinishedRun) -> Result<RunSummary, StoreError> {
        match self.call(RunRequest::Finish(finished)).await? {
            Reply::Runs(RunReply::One(Some(run))) => Ok(*run),
            Reply::Runs(RunReply::Fenced(what)) => Err(StoreError::Fenced(what)),
            other => Err(other.unexpected()),
        }
    }

    /// A job's runs, the newest first: those with an id below `after`, or the newest.
    pub async fn runs(&self, job: &str, after: Option<u64>, limit: u32) -> Result<Vec<RunSummary>, StoreError> {
        let request = RunRequest::List {
            job: job.to_owned(),
            after,
            limit,
        };
        answer!(self, request, Reply::Runs(RunReply::List(runs)) => runs)
    }

    /// One run.
    pub async fn run(&self, id: u64) -> Result<Option<RunSummary>, StoreError> {
        let request = RunRequest::Get { id };
        answer!(self, request, Reply::Runs(RunReply::One(run)) => run.map(|run| *run))
    }

    /// The newest run of each job that has one.
    pub async fn last_runs(&self) -> Result<BTreeMap<String, RunSummary>, StoreError> {
        answer!(self, RunRequest::Last, Reply::Runs(RunReply::Last(runs)) => runs)
    }

    /// The account of a job: what was planned and what became of it. It goes back to the job's first instant, whatever was
    /// trimmed since.
    pub async fn job_ledger(&self, job: &str) -> Result<JobLedger, StoreError> {
        let request = RunRequest::Ledger { job: job.to_owned() };
        answer!(self, request, Reply::Runs(RunReply::Ledger(ledger)) => *ledger)
    }

    /// Removes runs that are too old or too many, some thousands at most in one call, and adds them to the daily sums.
    /// Returns how many went. Done by itself now and then with the engine's settings.
    pub async fn trim_runs(&self, retention: RunRetention) -> Result<u64, StoreError> {
        answer!(self, RunRequest::Trim(retention), Reply::Runs(RunReply::Trimmed(count)) => count)
    }
}
