//! What is to be run: jobs advance and their runs are written in one transaction.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use tenon_model::Timestamp;
use tenon_protocol::control::{RunOutcome, RunSummary};

use super::super::connection::{
    Db, DbResult, json_column, optional_time_column, statements, time_column, to_json, to_word,
};
use super::super::leases;
use super::super::writer::{Change, WriteContext};
use crate::error::StoreError;
use crate::leases::Lease;
use crate::runs::{JobCursor, NewRun, Overlap, PlanStep};

statements! {
    CURSORS = "SELECT job, version, next_at, watermark, state FROM jobs WHERE version > 0 ORDER BY job";
    CURSOR = "SELECT version, watermark FROM jobs WHERE job = ?1";
    PUT_CURSOR = "INSERT INTO jobs(job, version, next_at, watermark, state, since, planned) \
        VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) \
        ON CONFLICT(job) DO UPDATE SET version = excluded.version, next_at = excluded.next_at, \
        watermark = excluded.watermark, state = excluded.state, since = ifnull(jobs.since, excluded.since), \
        planned = jobs.planned + excluded.planned";
    KNOW_JOB = "INSERT INTO jobs(job, version, watermark, state, planned) VALUES(?1, 0, 0, 'null', 0) \
        ON CONFLICT DO NOTHING";
    FORGET_CURSOR = "UPDATE jobs SET version = 0, next_at = NULL, state = 'null' WHERE job = ?1";
    IS_PLANNED = "SELECT 1 FROM runs WHERE job = ?1 AND planned_at = ?2 AND manual = 0";
    INSERT = "INSERT INTO runs(job, planned_at, manual, outcome, service, payload, timeout_ms, attempts_max, \
        retry_delay_ms, retry_delay_max_ms, on_lost, overlap, not_before, ended_at, error) \
        VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) RETURNING id";
    OPEN_COUNT = "SELECT count(*) FROM runs WHERE job = ?1 AND ended_at IS NULL";
    SKIP_WAITING = "UPDATE runs SET outcome = CASE WHEN attempt > 0 THEN 'error' ELSE 'skipped' END, ended_at = ?2, \
        payload = 'null', fence = fence + 1, error = ?3 \
        WHERE job = ?1 AND ended_at IS NULL AND outcome = 'waiting' AND (manual = 0 OR ?4)";
    REPLACE_RUNNING = "UPDATE runs SET replaced = 1 WHERE job = ?1 AND ended_at IS NULL AND outcome = 'running'";
}

/// Advances jobs.
pub(super) fn plan(context: &mut WriteContext<'_>, lease: &Lease, steps: &[PlanStep]) -> DbResult<()> {
    leases::check(context, lease)?;
    for step in steps {
        advance(context, step)?;
    }
    context.changes.add(Change::Jobs);
    context.changes.add(Change::Runs);
    Ok(())
}

/// Every job's cursor.
pub(super) fn cursors(db: &Connection) -> DbResult<BTreeMap<String, JobCursor>> {
    let rows = db.all(CURSORS, [], |row| {
        let cursor = JobCursor {
            version: row.get(1)?,
            next_at: optional_time_column(row, 2)?,
            watermark: time_column(row, 3)?,
            state: json_column(row, 4)?,
        };
        Ok((row.get(0)?, cursor))
    })?;
    Ok(rows.into_iter().collect())
}

/// Forgets a job's cursor and skips what waits of it.
pub(super) fn delete_job(context: &mut WriteContext<'_>, lease: &Lease, job: &str) -> DbResult<()> {
    leases::check(context, lease)?;
    context.db.run(FORGET_CURSOR, [job])?;
    let params = params![job, context.now.as_millis(), "the job was removed", true];
    context.db.run(SKIP_WAITING, params)?;
    context.changes.add(Change::Jobs);
    Ok(())
}

/// Writes a run that somebody asked for.
pub(super) fn add_manual(context: &mut WriteContext<'_>, run: &NewRun) -> DbResult<RunSummary> {
    check(run)?;
    let open: u64 = open_count(context, &run.job)?;
    if open >= context.settings.waiting_runs_max {
        return Err(StoreError::Conflict(format!("{open} runs of job '{}' are open already", run.job)).into());
    }
    context.db.run(KNOW_JOB, [&run.job])?;
    let id = insert(context, run, true, None)?;
    context.changes.add(Change::Runs);
    super::get(context.db, id)?.ok_or_else(|| StoreError::NotFound(format!("run {id}")).into())
}

fn advance(context: &WriteContext<'_>, step: &PlanStep) -> DbResult<()> {
    let job = &step.job;
    let present: Option<(u64, Timestamp)> = context
        .db
        .one(CURSOR, [job], |row| Ok((row.get(0)?, time_column(row, 1)?)))?;
    let version = present.map_or(0, |(version, _)| version);
    if version != step.expected_version {
        let expected = step.expected_version;
        let what = format!("the cursor of job '{job}' has version {version}, not {expected}");
        return Err(StoreError::Fenced(what).into());
    }
    let watermark = present.filter(|_| version > 0).map(|(_, watermark)| watermark);
    let mut planned: u64 = 0;
    for run in &step.runs {
        if run.job != *job {
            return Err(StoreError::Invalid(format!("a run of job '{}' in a step of '{job}'", run.job)).into());
        }
        check(run)?;
        // What retention removed can't be found any more, but everything up to the watermark was planned.
        let is_past = watermark.is_some_and(|watermark| run.planned_at <= watermark);
        if is_past || is_planned(context, run)? {
            continue;
        }
        let skipped = match &run.skipped {
            Some(reason) => Some(reason.clone()),
            None => make_room(context, run)?,
        };
        insert(context, run, false, skipped.as_deref())?;
        planned += 1;
    }
    let first = step.runs.iter().map(|run| run.planned_at).min();
    let params = params![
        job,
        version + 1,
        step.next_at.map(Timestamp::as_millis),
        watermark
            .map_or(step.watermark, |before| before.max(step.watermark))
            .as_millis(),
        to_json(&step.state)?,
        first.unwrap_or(step.watermark).min(step.watermark).as_millis(),
        planned,
    ];
    context.db.run(PUT_CURSOR, params)?;
    Ok(())
}

fn check(run: &NewRun) -> DbResult<()> {
    if run.attempts_max == 0 {
        return Err(StoreError::Invalid(format!("a run of job '{}' without an attempt", run.job)).into());
    }
    Ok(())
}

fn is_planned(context: &WriteContext<'_>, run: &NewRun) -> DbResult<bool> {
    let params = params![run.job, run.planned_at.as_millis()];
    Ok(context.db.one(IS_PLANNED, params, |_| Ok(()))?.is_some())
}

fn open_count(context: &WriteContext<'_>, job: &str) -> DbResult<u64> {
    Ok(context.db.one(OPEN_COUNT, [job], |row| row.get(0))?.unwrap_or(0))
}

/// Does what the run's policy says about others of its job that are open; why the run itself is skipped, if it is.
fn make_room(context: &WriteContext<'_>, run: &NewRun) -> DbResult<Option<String>> {
    let open = open_count(context, &run.job)?;
    match run.overlap {
        Overlap::Skip if open > 0 => return Ok(Some("an earlier run was still open".to_owned())),
        Overlap::Replace if open > 0 => {
            let params = params![run.job, context.now.as_millis(), "a newer run took its place", false];
            context.db.run(SKIP_WAITING, params)?;
            context.db.run(REPLACE_RUNNING, [&run.job])?;
        }
        _ => {}
    }
    if open >= context.settings.waiting_runs_max {
        return Ok(Some(format!("{open} earlier runs were still open")));
    }
    Ok(None)
}

fn insert(context: &WriteContext<'_>, run: &NewRun, manual: bool, skipped: Option<&str>) -> DbResult<u64> {
    let outcome = if skipped.is_some() {
        RunOutcome::Skipped
    } else {
        RunOutcome::Waiting
    };
    let payload = if skipped.is_some() {
        "null".to_owned()
    } else {
        to_json(&run.payload)?
    };
    let now = context.now.as_millis();
    let params = params![
        run.job,
        run.planned_at.as_millis(),
        manual,
        to_word(&outcome)?,
        run.service,
        payload,
        run.timeout_ms,
        run.attempts_max,
        run.retry_delay_ms,
        run.retry_delay_max_ms,
        to_word(&run.on_lost)?,
        to_word(&run.overlap)?,
        run.planned_at.as_millis(),
        skipped.map(|_| now),
        skipped.unwrap_or_default(),
    ];
    context
        .db
        .one(INSERT, params, |row| row.get(0))?
        .ok_or_else(|| StoreError::Storage("a new run got no id".to_owned()).into())
}
