//! The account of jobs, and what of it stays when runs are removed.

use rusqlite::params;
use tenon_model::Timestamp;
use tenon_protocol::control::JobLedger;

use super::super::connection::{Db, DbResult, optional_time_column, statements};
use super::super::readers::ReadContext;
use super::super::writer::{Change, WriteContext};
use crate::runs::RunRetention;

statements! {
    ACCOUNT = "SELECT since, planned FROM jobs WHERE job = ?1";
    KEPT = "SELECT ifnull(sum(ended_at IS NOT NULL AND outcome <> 'skipped'), 0), \
        ifnull(sum(ended_at IS NULL), 0), ifnull(sum(outcome = 'skipped'), 0), ifnull(sum(overlaps), 0) \
        FROM runs WHERE job = ?1 AND manual = 0";
    REMOVED = "SELECT ifnull(sum(ran), 0), ifnull(sum(skipped), 0), ifnull(sum(overlaps), 0) \
        FROM run_days WHERE job = ?1";
    DUPLICATES = "SELECT count(*) FROM (SELECT 1 FROM runs WHERE job = ?1 AND manual = 0 \
        GROUP BY planned_at HAVING count(*) > 1)";
    COUNT = "SELECT count(*) FROM runs";
    ADD_TO_DAYS = "INSERT INTO run_days(job, day, ran, skipped, overlaps) \
        SELECT job, planned_at / 86400000 AS day, sum(outcome <> 'skipped'), sum(outcome = 'skipped'), sum(overlaps) \
        FROM runs WHERE manual = 0 AND id IN \
        (SELECT id FROM runs WHERE ended_at IS NOT NULL AND ended_at < ?1 ORDER BY ended_at, id LIMIT ?2) \
        GROUP BY job, day \
        ON CONFLICT(job, day) DO UPDATE SET ran = ran + excluded.ran, skipped = skipped + excluded.skipped, \
        overlaps = overlaps + excluded.overlaps";
    REMOVE_CLAIMS = "DELETE FROM lost_claims WHERE run IN \
        (SELECT id FROM runs WHERE ended_at IS NOT NULL AND ended_at < ?1 ORDER BY ended_at, id LIMIT ?2)";
    REMOVE = "DELETE FROM runs WHERE id IN \
        (SELECT id FROM runs WHERE ended_at IS NOT NULL AND ended_at < ?1 ORDER BY ended_at, id LIMIT ?2)";
    FORGET_DAYS = "DELETE FROM run_days WHERE job IN (SELECT job FROM jobs WHERE version = 0 \
        AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.job = jobs.job))";
    FORGET_JOBS = "DELETE FROM jobs WHERE version = 0 \
        AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.job = jobs.job)";
}

/// How many runs are removed in one transaction.
const TRIM_MAX: u64 = 5_000;

/// The account of a job.
pub(super) fn ledger(context: &ReadContext<'_>, job: &str) -> DbResult<JobLedger> {
    let db = context.db;
    let (since, planned): (Option<Timestamp>, u64) = db
        .one(ACCOUNT, [job], |row| Ok((optional_time_column(row, 0)?, row.get(1)?)))?
        .unwrap_or((None, 0));
    let (kept_ran, open, kept_skipped, kept_overlaps): (u64, u64, u64, u64) = db
        .one(KEPT, [job], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .unwrap_or_default();
    let (old_ran, old_skipped, old_overlaps): (u64, u64, u64) = db
        .one(REMOVED, [job], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .unwrap_or_default();
    let ran = kept_ran + old_ran;
    let missed_by_policy = kept_skipped + old_skipped;
    Ok(JobLedger {
        job: job.to_owned(),
        since: since.unwrap_or(context.now),
        planned,
        ran,
        open,
        missed_by_policy,
        duplicates: db.one(DUPLICATES, [job], |row| row.get(0))?.unwrap_or(0),
        overlapping_attempts: kept_overlaps + old_overlaps,
        lost: planned.saturating_sub(ran + open + missed_by_policy),
    })
}

/// Removes what is too old or too much by the engine's settings.
pub(in crate::sqlite) fn trim(context: &mut WriteContext<'_>) -> DbResult<()> {
    let retention = RunRetention {
        keep_ms: u64::try_from(context.settings.runs_kept.0.as_millis()).unwrap_or(u64::MAX),
        runs_max: context.settings.runs_max,
    };
    trim_runs(context, retention)?;
    context.db.run(FORGET_DAYS, [])?;
    context.db.run(FORGET_JOBS, [])?;
    Ok(())
}

/// Removes runs and adds them to the daily sums.
pub(super) fn trim_runs(context: &mut WriteContext<'_>, retention: RunRetention) -> DbResult<u64> {
    let keep_ms = i64::try_from(retention.keep_ms).unwrap_or(i64::MAX);
    let old_before = context.now.as_millis().saturating_sub(keep_ms);
    let mut removed = remove(context, old_before, TRIM_MAX)?;
    let count: u64 = context.db.one(COUNT, [], |row| row.get(0))?.unwrap_or(0);
    let too_many = count.saturating_sub(retention.runs_max);
    if too_many > 0 && removed < TRIM_MAX {
        removed += remove(context, i64::MAX, too_many.min(TRIM_MAX - removed))?;
    }
    if removed > 0 {
        context.changes.add(Change::Runs);
    }
    Ok(removed)
}

fn remove(context: &WriteContext<'_>, before: i64, max: u64) -> DbResult<u64> {
    let range = params![before, max];
    context.db.run(ADD_TO_DAYS, range)?;
    context.db.run(REMOVE_CLAIMS, range)?;
    Ok(context.db.run(REMOVE, range)? as u64)
}
