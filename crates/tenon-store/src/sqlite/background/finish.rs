//! How calls end, and what follows.

use rusqlite::params;

use super::super::connection::{Db, DbResult, statements, to_json};
use super::super::counters;
use super::super::writer::{Change, WriteContext};
use super::claim::fenced;
use super::{OPEN, Place, put};
use crate::background::{BackgroundClaim, BackgroundOutcome, NewBackground};

statements! {
    PARENT = "SELECT parent FROM background WHERE id = ?1 AND fence = ?2 AND state = 'running'";
    END_OF_CHILD = "UPDATE background SET state = 'ended', ending = ?2, error = ?3, payload = x'', \
        claim_expires_at = NULL, ended_at = ?4 WHERE id = ?1";
    ONE_LESS = "UPDATE background SET pending = pending - 1 WHERE id = ?1 RETURNING pending";
    UNBLOCK = "UPDATE background SET state = 'waiting', not_before = max(not_before, ?2) \
        WHERE id = ?1 AND state = 'blocked'";
    FORGET_CHILDREN = "DELETE FROM background WHERE parent = ?1";
    FORGET = "DELETE FROM background WHERE id = ?1";
    FAIL = "UPDATE background SET state = 'failed', error = ?2, ended_at = ?3, claim_expires_at = NULL, \
        payload = substr(payload, 1, ?4) WHERE id = ?1";
    TRIM_OLD = "DELETE FROM background WHERE id IN \
        (SELECT id FROM background WHERE state = 'failed' AND ended_at < ?1 ORDER BY ended_at, id LIMIT ?2)";
    COUNT_FAILED = "SELECT count(*) FROM background INDEXED BY background_failed WHERE state = 'failed'";
}

/// Where the text of an error is cut.
const ERROR_MAX_BYTES: usize = 16 * 1024;
/// How much of the payload of a call that failed is kept.
const FAILED_PAYLOAD_BYTES: u64 = 4 * 1024;
/// How many calls are forgotten in one transaction.
const TRIM_MAX: u64 = 1_000;

/// Ends a call.
pub(super) fn finish(
    context: &mut WriteContext<'_>,
    claim: BackgroundClaim,
    outcome: &BackgroundOutcome,
    next: &[NewBackground],
) -> DbResult<()> {
    let key = params![claim.id, claim.fence];
    let Some(parent) = context.db.one(PARENT, key, |row| row.get::<_, Option<u64>>(0))? else {
        return Err(fenced(claim).into());
    };
    // What follows is never refused: it is part of what was accepted.
    for call in next {
        put(context, call, Place::default(), None)?;
    }
    let (id, now) = (claim.id, context.now.as_millis());
    if let Some(parent) = parent {
        let ended = params![id, to_json(outcome)?, cut(&outcome.error), now];
        context.db.run(END_OF_CHILD, ended)?;
        let pending: Option<i64> = context.db.one(ONE_LESS, [parent], |row| row.get(0))?;
        if pending.is_some_and(|pending| pending <= 0) {
            context.db.run(UNBLOCK, params![parent, now])?;
            context.changes.add(Change::Background);
        }
    } else {
        let children = context.db.run(FORGET_CHILDREN, [id])?;
        if outcome.is_ok {
            context.db.run(FORGET, [id])?;
        } else {
            let failed = params![id, cut(&outcome.error), now, FAILED_PAYLOAD_BYTES];
            context.db.run(FAIL, failed)?;
        }
        counters::add(context.db, OPEN, -i64::try_from(children).unwrap_or(i64::MAX) - 1)?;
    }
    if !next.is_empty() {
        context.changes.add(Change::Background);
    }
    Ok(())
}

/// Forgets calls that failed too long ago, or that are too many.
pub(in crate::sqlite) fn trim(context: &mut WriteContext<'_>) -> DbResult<()> {
    let settings = context.settings;
    let kept_ms = i64::try_from(settings.background_failed_kept.0.as_millis()).unwrap_or(i64::MAX);
    let old = context.now.as_millis().saturating_sub(kept_ms);
    context.db.run(TRIM_OLD, params![old, TRIM_MAX])?;
    let failed: u64 = context.db.one(COUNT_FAILED, [], |row| row.get(0))?.unwrap_or(0);
    let too_many = failed.saturating_sub(settings.background_failed_max).min(TRIM_MAX);
    context.db.run(TRIM_OLD, params![i64::MAX, too_many])?;
    Ok(())
}

/// An error's text, of a bounded size.
pub(super) fn cut(text: &str) -> &str {
    let mut end = text.len().min(ERROR_MAX_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
