//! Jobs' cursors and runs.
//!
//! A run is open until it has `ended_at`. Its fence grows when it is claimed and when an attempt fails, so that only the
//! latest attempt can finish it; a claim that ended by time leaves the fence as it is until somebody else claims the run.

mod claim;
mod ledger;
mod plan;

use rusqlite::{Connection, Row, params};
use tenon_protocol::control::RunSummary;

pub(super) use self::claim::{announce_due, extend_claims};
pub(super) use self::ledger::trim;
use super::connection::{Db, DbResult, optional_time_column, statements, time_column, word_column};
use super::readers::{ReadContext, not_a_read};
use super::writer::{WriteContext, not_a_write};
use crate::runs::{RunReply, RunRequest};

#[cfg(test)]
pub(super) use self::{claim::STATEMENTS as CLAIM, ledger::STATEMENTS as LEDGER, plan::STATEMENTS as PLAN};

macro_rules! columns {
    () => {
        "id, job, planned_at, manual, outcome, attempt, server, started_at, ended_at, duration_ms, lateness_ms, \
         output, error, cid"
    };
}

statements! {
    GET = concat!("SELECT ", columns!(), " FROM runs WHERE id = ?1");
    LIST = concat!("SELECT ", columns!(), " FROM runs WHERE job = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3");
    LAST = concat!(
        "SELECT ", columns!(), " FROM jobs CROSS JOIN runs USING(job) \
         WHERE id = (SELECT max(latest.id) FROM runs AS latest WHERE latest.job = jobs.job)"
    );
}

/// Does a write.
pub(super) fn write(context: &mut WriteContext<'_>, request: &RunRequest) -> DbResult<RunReply> {
    match request {
        RunRequest::Plan { lease, steps } => plan::plan(context, lease, steps).map(|()| RunReply::Done),
        RunRequest::DeleteJob { lease, job } => plan::delete_job(context, lease, job).map(|()| RunReply::Done),
        RunRequest::AddManual(run) => plan::add_manual(context, run).map(|run| RunReply::One(Some(Box::new(run)))),
        RunRequest::Claim {
            server,
            instance,
            max,
            lease_ms,
        } => {
            let claimer = claim::Claimer {
                server,
                instance: instance.as_str(),
                lease_ms: *lease_ms,
            };
            claim::claim(context, &claimer, *max).map(RunReply::Claimed)
        }
        RunRequest::Renew { claims, lease_ms } => claim::renew(context, claims, *lease_ms).map(RunReply::Renewed),
        RunRequest::Finish(finished) => claim::finish(context, finished),
        RunRequest::Trim(retention) => ledger::trim_runs(context, *retention).map(RunReply::Trimmed),
        _ => Err(not_a_write()),
    }
}

/// Does a read.
pub(super) fn read(context: &ReadContext<'_>, request: &RunRequest) -> DbResult<RunReply> {
    let db = context.db;
    match request {
        RunRequest::Cursors => plan::cursors(db).map(RunReply::Cursors),
        RunRequest::List { job, after, limit } => {
            let below = after.unwrap_or(i64::MAX as u64);
            db.all(LIST, params![job, below, limit], summary).map(RunReply::List)
        }
        RunRequest::Get { id } => Ok(RunReply::One(get(db, *id)?.map(Box::new))),
        RunRequest::Last => {
            let runs = db.all(LAST, [], summary)?;
            let by_job = runs.into_iter().map(|run| (run.job.clone(), run)).collect();
            Ok(RunReply::Last(by_job))
        }
        RunRequest::Ledger { job } => ledger::ledger(context, job).map(|ledger| RunReply::Ledger(Box::new(ledger))),
        _ => Err(not_a_read()),
    }
}

fn get(db: &Connection, id: u64) -> DbResult<Option<RunSummary>> {
    db.one(GET, [id], summary)
}

fn summary(row: &Row<'_>) -> rusqlite::Result<RunSummary> {
    Ok(RunSummary {
        id: row.get(0)?,
        job: row.get(1)?,
        planned_at: time_column(row, 2)?,
        manual: row.get(3)?,
        outcome: word_column(row, 4)?,
        attempt: row.get(5)?,
        server: row.get(6)?,
        started_at: optional_time_column(row, 7)?,
        ended_at: optional_time_column(row, 8)?,
        duration_ms: row.get(9)?,
        lateness_ms: row.get(10)?,
        output: row.get(11)?,
        error: row.get(12)?,
        cid: row.get(13)?,
    })
}
