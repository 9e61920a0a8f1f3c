//! `tenon job`.

use clap::Subcommand;
use tenon_protocol::control::{
    GetJob, JobLedger, JobPath, JobSummary, ListJobs, ListRuns, Nothing, RunJob, RunOutcome, RunSummary, RunsQuery,
    VerifyJob,
};

use super::Global;
use super::control::Cluster;
use super::output::or_dash;
use crate::failure::fail;

/// Lists and runs jobs, and shows what became of them.
#[derive(Debug, Subcommand)]
pub(super) enum Job {
    /// List jobs with their next instants and last runs
    List,
    /// Show a job
    Show {
        /// The job's name
        name: String,
    },
    /// Run a job now, besides its schedule
    Run {
        /// The job's name
        name: String,
    },
    /// Show a job's runs, the newest first
    History {
        /// The job's name
        name: String,
        /// How many
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u32,
    },
    /// Check that a job ran whenever it should have: nothing lost, nothing twice
    Verify {
        /// The job's name; without it, all jobs
        name: Option<String>,
    },
}

impl Job {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let cluster = Cluster::of(global)?;
        let output = global.output();
        let path = |name: &String| JobPath { name: name.clone() };
        match self {
            Job::List => output.show(&cluster.all::<ListJobs, _>()?, &JOB, |page| {
                page.items.iter().map(job_row).collect()
            }),
            Job::Show { name } => {
                let job = cluster.call::<GetJob>(&path(name), &Nothing {})?;
                output.show(&job, &JOB, |job| vec![job_row(job)])
            }
            Job::Run { name } => {
                let run = cluster.call::<RunJob>(&path(name), &Nothing {})?;
                output.show(&run, &RUN, |run| vec![run_row(run)])
            }
            Job::History { name, limit } => {
                let query = RunsQuery {
                    name: name.clone(),
                    after: None,
                    limit: Some(*limit),
                };
                let page = cluster.call::<ListRuns>(&query, &Nothing {})?;
                output.show(&page, &RUN, |page| page.items.iter().map(run_row).collect())
            }
            Job::Verify { name } => verify(global, &cluster, name.as_ref()),
        }
    }
}

const JOB: [&str; 6] = ["name", "schedule", "service", "enabled", "next", "last run"];

const RUN: [&str; 9] = [
    "id",
    "planned",
    "outcome",
    "attempt",
    "server",
    "late",
    "took",
    "cid",
    "what happened",
];

fn outcome(outcome: RunOutcome) -> String {
    let outcome = serde_json::to_value(outcome).unwrap_or_default();
    outcome.as_str().unwrap_or_default().to_owned()
}

fn job_row(job: &JobSummary) -> Vec<String> {
    let last = job
        .last_run
        .as_ref()
        .map(|run| format!("{} {}", run.planned_at, outcome(run.outcome)));
    vec![
        job.name.clone(),
        job.schedule.clone(),
        job.service.clone(),
        if job.enabled { "yes" } else { "no" }.to_owned(),
        or_dash(job.next_at),
        or_dash(last),
    ]
}

fn run_row(run: &RunSummary) -> Vec<String> {
    let milliseconds = |value: Option<u64>| or_dash(value.map(|value| format!("{value} ms")));
    let happened = if run.error.is_empty() { &run.output } else { &run.error };
    let planned = if run.manual { " (by hand)" } else { "" };
    vec![
        run.id.to_string(),
        format!("{}{planned}", run.planned_at),
        outcome(run.outcome),
        run.attempt.to_string(),
        or_dash(run.server.as_ref()),
        milliseconds(run.lateness_ms),
        milliseconds(run.duration_ms),
        run.cid.clone(),
        happened.lines().next().unwrap_or_default().to_owned(),
    ]
}

fn verify(global: &Global, cluster: &Cluster, name: Option<&String>) -> anyhow::Result<()> {
    let names = match name {
        Some(name) => vec![name.clone()],
        None => cluster
            .all::<ListJobs, _>()?
            .items
            .into_iter()
            .map(|job| job.name)
            .collect(),
    };
    let mut ledgers = Vec::new();
    for name in names {
        ledgers.push(cluster.call::<VerifyJob>(&JobPath { name }, &Nothing {})?);
    }
    let header = [
        "job",
        "since",
        "planned",
        "ran",
        "open",
        "missed by policy",
        "duplicates",
        "overlaps",
        "lost",
    ];
    global
        .output()
        .show(&ledgers, &header, |ledgers| ledgers.iter().map(ledger_row).collect())?;
    let broken: Vec<&str> = ledgers
        .iter()
        .filter(|ledger| ledger.duplicates + ledger.overlapping_attempts + ledger.lost > 0)
        .map(|ledger| ledger.job.as_str())
        .collect();
    if !broken.is_empty() {
        fail!(
            Failed,
            format!("the account does not add up for {}", broken.join(", ")),
            ""
        );
    }
    Ok(())
}

fn ledger_row(ledger: &JobLedger) -> Vec<String> {
    let mut row = vec![ledger.job.clone(), ledger.since.to_string()];
    let counts = [
        ledger.planned,
        ledger.ran,
        ledger.open,
        ledger.missed_by_policy,
        ledger.duplicates,
        ledger.overlapping_attempts,
        ledger.lost,
    ];
    row.extend(counts.iter().map(u64::to_string));
    row
}
