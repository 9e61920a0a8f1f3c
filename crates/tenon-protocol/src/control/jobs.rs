//! Jobs and their runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenon_model::{Access, Timestamp};

use super::endpoint::{Nothing, Page, PageQuery, endpoint};

endpoint! {
    /// Jobs with their next instants and last runs.
    ListJobs = "listJobs" Get "/v1/jobs" Some(Access::Viewer), (PageQuery, Nothing) -> Page<JobSummary>;
    /// One job.
    GetJob = "getJob" Get "/v1/jobs/{name}" Some(Access::Viewer), (JobPath, Nothing) -> JobSummary;
    /// Runs a job now, besides its schedule.
    RunJob = "runJob" Post "/v1/jobs/{name}/run" Some(Access::Operator), (JobPath, Nothing) -> RunSummary;
    /// A job's runs, the newest first.
    ListRuns = "listRuns" Get "/v1/jobs/{name}/runs" Some(Access::Viewer), (RunsQuery, Nothing) -> Page<RunSummary>;
    /// What was planned, ran, was missed by policy, overlapped or was lost.
    VerifyJob = "verifyJob" Get "/v1/jobs/{name}/verify" Some(Access::Viewer), (JobPath, Nothing) -> JobLedger;
}

/// Which job is meant.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct JobPath {
    /// The job's name.
    pub name: String,
}

/// Which runs of a job are wanted.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct RunsQuery {
    /// The job's name.
    pub name: String,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many at most; 100 if not given, never more than 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A job in a list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct JobSummary {
    /// Its name.
    pub name: String,
    /// The service that it calls.
    pub service: String,
    /// When it runs, in words: `every 10s`, `cron 0 3 * * * in Europe/Berlin`, `at 2026-12-01T08:00:00Z`.
    pub schedule: String,
    /// Whether it is switched on.
    pub enabled: bool,
    /// The next instant; none if there is none.
    pub next_at: Option<Timestamp>,
    /// The newest run; none if it never ran.
    pub last_run: Option<RunSummary>,
}

/// How a run is, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    /// It waits for a server.
    Waiting,
    /// A server runs it.
    Running,
    /// The service answered.
    Ok,
    /// The service raised, or answered with an error, at every attempt.
    Error,
    /// The service took too long, at every attempt.
    Timeout,
    /// The server that ran it died, and the job says not to run it again.
    Lost,
    /// It was not run, because the job's policy says so (overlap or missed).
    Skipped,
}

/// One execution of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunSummary {
    /// The run's id: stable over its attempts.
    pub id: u64,
    /// The job's name.
    pub job: String,
    /// The instant that it was planned for.
    pub planned_at: Timestamp,
    /// Whether somebody asked for it, besides the schedule.
    pub manual: bool,
    /// How it is, or how it ended.
    pub outcome: RunOutcome,
    /// How often a server has begun it.
    pub attempt: u32,
    /// The server that runs or ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// When its latest attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How long its latest attempt took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// How long after the planned instant its first attempt began, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lateness_ms: Option<u64>,
    /// What the service answered, cut at 4 KiB.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
    /// What went wrong; empty if nothing did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// The correlation id of its latest attempt.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cid: String,
}

/// A job's account: what should have happened, and what did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobLedger {
    /// The job's name.
    pub job: String,
    /// From when on the account is kept.
    pub since: Timestamp,
    /// Instants that the schedule had since then, as the ledger planned them.
    pub planned: u64,
    /// Runs that ended by being run, well or not.
    pub ran: u64,
    /// Runs that wait or are being run now.
    pub open: u64,
    /// Instants not run because the job's policy says so.
    pub missed_by_policy: u64,
    /// Instants with more than one run: 0 unless something is broken.
    pub duplicates: u64,
    /// Attempts of one run that overlapped: 0 unless something is broken.
    pub overlapping_attempts: u64,
    /// Instants without a run and without a reason: 0 unless something is broken.
    pub lost: u64,
}
