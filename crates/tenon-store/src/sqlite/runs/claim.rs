//! Who runs what: claims are given, kept and ended, and end by time when their server died.

use rusqlite::{Connection, Row, params};
use tenon_model::Timestamp;
use tenon_protocol::control::RunOutcome;

use super::super::connection::{Db, DbResult, json_column, statements, time_column, to_word, word_column};
use super::super::leases::later;
use super::super::writer::{Change, WriteContext};
use crate::error::StoreError;
use crate::runs::{ClaimedRun, FinishedRun, OnLost, RunReply};
use crate::settings::SqliteSettings;

// A run may be claimed if it is due and, unless it may overlap, is the oldest open one of its job and none is being run.
macro_rules! claimable {
    () => {
        "FROM runs WHERE outcome = 'waiting' AND not_before <= ?1 AND (overlap = 'allow' OR NOT EXISTS \
         (SELECT 1 FROM runs AS other WHERE other.job = runs.job AND other.ended_at IS NULL \
         AND (other.id < runs.id OR other.outcome = 'running')))"
    };
}

statements! {
    EXPIRED = "SELECT id, fence, server, started_at, on_lost, lost_attempts, replaced FROM runs \
        WHERE outcome = 'running' AND claim_expires_at <= ?1";
    KEEP_LOST_CLAIM = "INSERT INTO lost_claims(run, fence, server, started_at, expired_at) VALUES(?1, ?2, ?3, ?4, ?5) \
        ON CONFLICT DO NOTHING";
    WAIT_AGAIN = "UPDATE runs SET outcome = 'waiting', not_before = ?2, claim_expires_at = NULL, \
        lost_attempts = lost_attempts + 1 WHERE id = ?1";
    END_LOST = "UPDATE runs SET outcome = 'lost', ended_at = ?2, error = ?3, claim_expires_at = NULL, \
        lost_attempts = lost_attempts + 1, payload = 'null' WHERE id = ?1";
    CLAIMABLE = concat!("SELECT id ", claimable!(), " ORDER BY not_before, id LIMIT ?2");
    IS_CLAIMABLE = concat!("SELECT 1 ", claimable!(), " LIMIT 1");
    CLAIM = "UPDATE runs SET outcome = 'running', fence = fence + 1, attempt = attempt + 1, server = ?2, \
        instance = ?3, started_at = ?4, claim_expires_at = ?5, \
        lateness_ms = ifnull(lateness_ms, max(0, ?4 - planned_at)) WHERE id = ?1 \
        RETURNING id, fence, attempt, job, planned_at, manual, service, payload, timeout_ms, claim_expires_at";
    NEXT_STARTED = "UPDATE lost_claims SET next_started_at = ?2 WHERE run = ?1 AND next_started_at IS NULL";
    RENEW = "UPDATE runs SET claim_expires_at = ?3 WHERE id = ?1 AND fence = ?2 AND outcome = 'running' \
        AND replaced = 0";
    STATE = "SELECT fence, outcome, attempt - lost_attempts, attempts_max, retry_delay_ms, retry_delay_max_ms, \
        replaced FROM runs WHERE id = ?1";
    END = "UPDATE runs SET outcome = ?2, ended_at = ?3, output = ?4, error = ?5, cid = ?6, duration_ms = ?7, \
        claim_expires_at = NULL, payload = 'null' WHERE id = ?1";
    TRY_AGAIN = "UPDATE runs SET outcome = 'waiting', not_before = ?2, fence = fence + 1, output = ?3, error = ?4, \
        cid = ?5, duration_ms = ?6, claim_expires_at = NULL WHERE id = ?1";
    LOST_CLAIM = "SELECT started_at, next_started_at FROM lost_claims WHERE run = ?1 AND fence = ?2";
    FORGET_LOST_CLAIM = "DELETE FROM lost_claims WHERE run = ?1 AND fence = ?2";
    COUNT_OVERLAP = "UPDATE runs SET overlaps = overlaps + 1 WHERE id = ?1";
    EXTEND = "UPDATE runs SET claim_expires_at = ?1 WHERE outcome = 'running' AND claim_expires_at < ?1";
}

/// Where texts that a service gave are cut.
const OUTPUT_MAX_BYTES: usize = 4 * 1024;
const ERROR_MAX_BYTES: usize = 16 * 1024;

/// Who claims, and for how long.
pub(super) struct Claimer<'a> {
    /// The server's name.
    pub(super) server: &'a str,
    /// The life of its process.
    pub(super) instance: &'a str,
    /// How long the claims live.
    pub(super) lease_ms: u64,
}

/// Gives out what is due.
pub(super) fn claim(context: &mut WriteContext<'_>, claimer: &Claimer<'_>, max: u32) -> DbResult<Vec<ClaimedRun>> {
    expire(context)?;
    let now = context.now.as_millis();
    let expires_at = later(context.now, claimer.lease_ms).as_millis();
    let due: Vec<u64> = context.db.all(CLAIMABLE, params![now, max], |row| row.get(0))?;
    let mut claimed = Vec::with_capacity(due.len());
    for id in due {
        let params = params![id, claimer.server, claimer.instance, now, expires_at];
        let run = context.db.one(CLAIM, params, claimed_run)?;
        context.db.run(NEXT_STARTED, params![id, now])?;
        claimed.extend(run);
    }
    Ok(claimed)
}

/// Keeps claims; the ids of those that are still the caller's.
pub(super) fn renew(context: &WriteContext<'_>, claims: &[(u64, u64)], lease_ms: u64) -> DbResult<Vec<u64>> {
    let expires_at = later(context.now, lease_ms).as_millis();
    let mut kept = Vec::with_capacity(claims.len());
    for (id, fence) in claims {
        if context.db.run(RENEW, params![id, fence, expires_at])? > 0 {
            kept.push(*id);
        }
    }
    Ok(kept)
}

/// Records how an attempt ended, if it is the latest one.
pub(super) fn finish(context: &mut WriteContext<'_>, finished: &FinishedRun) -> DbResult<RunReply> {
    let id = finished.id;
    if !matches!(
        finished.outcome,
        RunOutcome::Ok | RunOutcome::Error | RunOutcome::Timeout
    ) {
        return Err(StoreError::Invalid(format!("an attempt of run {id} can't end so")).into());
    }
    let Some(run) = context.db.one(STATE, [id], claimed_state)? else {
        return Err(StoreError::NotFound(format!("run {id}")).into());
    };
    let is_open = matches!(run.outcome, RunOutcome::Running | RunOutcome::Waiting);
    if !is_open || run.fence != finished.fence {
        note_overlap(context, finished)?;
        return Ok(RunReply::Fenced(format!("run {id} with fence {}", finished.fence)));
    }
    // The claim may have ended by time unseen, or without another one yet: then the attempt counts all the same.
    context.db.run(FORGET_LOST_CLAIM, params![id, finished.fence])?;
    let output = cut(&finished.output, OUTPUT_MAX_BYTES);
    let error = cut(&finished.error, ERROR_MAX_BYTES);
    let tries_again = finished.outcome != RunOutcome::Ok && run.tries < run.attempts_max && !run.replaced;
    if tries_again {
        let not_before = later(context.now, run.retry_delay_ms()).as_millis();
        let params = params![id, not_before, output, error, finished.cid, finished.duration_ms];
        context.db.run(TRY_AGAIN, params)?;
    } else {
        let outcome = to_word(&finished.outcome)?;
        let ended_at = context.now.as_millis();
        let params = params![id, outcome, ended_at, output, error, finished.cid, finished.duration_ms];
        context.db.run(END, params)?;
    }
    context.changes.add(Change::Runs);
    Ok(RunReply::One(super::get(context.db, id)?.map(Box::new)))
}

/// Ends claims whose time is over, and says if something may be claimed.
pub(in crate::sqlite) fn announce_due(context: &mut WriteContext<'_>) -> DbResult<()> {
    expire(context)?;
    let is_claimable = context.db.one(IS_CLAIMABLE, [context.now.as_millis()], |_| Ok(()))?;
    if is_claimable.is_some() {
        context.changes.add(Change::Runs);
    }
    Ok(())
}

/// Lets the claims of before live on a little after a start, since nobody could renew them while the store was away.
pub(in crate::sqlite) fn extend_claims(db: &Connection, settings: &SqliteSettings, now: Timestamp) -> DbResult<()> {
    db.run(EXTEND, [now.plus(settings.claim_grace.0).as_millis()])?;
    Ok(())
}

/// A claim whose time is over.
struct Expired {
    id: u64,
    fence: u64,
    server: String,
    started_at: Timestamp,
    on_lost: OnLost,
    lost_attempts: u32,
    replaced: bool,
}

fn expire(context: &mut WriteContext<'_>) -> DbResult<()> {
    let now = context.now.as_millis();
    for claim in context.db.all(EXPIRED, [now], expired)? {
        let started_at = claim.started_at.as_millis();
        let params = params![claim.id, claim.fence, claim.server, started_at, now];
        context.db.run(KEEP_LOST_CLAIM, params)?;
        let server = &claim.server;
        let end = if claim.replaced {
            Some(format!("{server} did not end it when a newer run took its place"))
        } else if claim.on_lost == OnLost::Fail {
            Some(format!("{server} died while it ran"))
        } else if claim.lost_attempts + 1 >= context.settings.lost_attempts_max {
            Some(format!(
                "{} servers died while they ran it, the last was {server}",
                claim.lost_attempts + 1
            ))
        } else {
            None
        };
        match end {
            Some(error) => context.db.run(END_LOST, params![claim.id, now, error])?,
            None => context.db.run(WAIT_AGAIN, params![claim.id, now])?,
        };
        context.changes.add(Change::Runs);
    }
    Ok(())
}

fn expired(row: &Row<'_>) -> rusqlite::Result<Expired> {
    Ok(Expired {
        id: row.get(0)?,
        fence: row.get(1)?,
        server: row.get(2)?,
        started_at: time_column(row, 3)?,
        on_lost: word_column(row, 4)?,
        lost_attempts: row.get(5)?,
        replaced: row.get(6)?,
    })
}

/// An attempt that was given up ended after the next one had begun: both were run at the same time.
fn note_overlap(context: &WriteContext<'_>, finished: &FinishedRun) -> DbResult<()> {
    let key = params![finished.id, finished.fence];
    let claim: Option<(i64, Option<i64>)> = context.db.one(LOST_CLAIM, key, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some((started_at, next_started_at)) = claim else {
        return Ok(());
    };
    context.db.run(FORGET_LOST_CLAIM, key)?;
    let ended_at = started_at.saturating_add_unsigned(finished.duration_ms);
    if next_started_at.is_some_and(|next| ended_at > next) {
        context.db.run(COUNT_OVERLAP, [finished.id])?;
    }
    Ok(())
}

/// What decides how an attempt's end is taken.
struct ClaimedState {
    fence: u64,
    outcome: RunOutcome,
    tries: u32,
    attempts_max: u32,
    delay_ms: u64,
    delay_max_ms: u64,
    replaced: bool,
}

impl ClaimedState {
    /// The pause before the next attempt: doubled with each one that failed.
    fn retry_delay_ms(&self) -> u64 {
        let doublings = self.tries.saturating_sub(1).min(32);
        let delay_ms = self.delay_ms.saturating_mul(1 << doublings);
        delay_ms.min(self.delay_max_ms.max(self.delay_ms))
    }
}

fn claimed_state(row: &Row<'_>) -> rusqlite::Result<ClaimedState> {
    Ok(ClaimedState {
        fence: row.get(0)?,
        outcome: word_column(row, 1)?,
        tries: row.get(2)?,
        attempts_max: row.get(3)?,
        delay_ms: row.get(4)?,
        delay_max_ms: row.get(5)?,
        replaced: row.get(6)?,
    })
}

fn claimed_run(row: &Row<'_>) -> rusqlite::Result<ClaimedRun> {
    Ok(ClaimedRun {
        id: row.get(0)?,
        fence: row.get(1)?,
        attempt: row.get(2)?,
        job: row.get(3)?,
        planned_at: time_column(row, 4)?,
        manual: row.get(5)?,
        service: row.get(6)?,
        payload: json_column(row, 7)?,
        timeout_ms: row.get(8)?,
        expires_at: time_column(row, 9)?,
    })
}

fn cut(text: &str, max_bytes: usize) -> &str {
    let mut end = text.len().min(max_bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
