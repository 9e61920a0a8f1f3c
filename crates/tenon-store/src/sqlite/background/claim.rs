//! Who makes which call: claims are given, kept and given back, and end by time or with their server.

use rusqlite::{Connection, Row, params};
use tenon_model::{InstanceId, Timestamp};

use super::super::connection::{Db, DbResult, json_column, statements, time_column};
use super::super::leases::later;
use super::super::writer::{Change, WriteContext};
use super::finish::cut;
use crate::background::{BackgroundClaim, BackgroundClaimer, BackgroundOutcome, ClaimedBackground};
use crate::error::StoreError;
use crate::settings::SqliteSettings;

statements! {
    DUE = "SELECT id FROM background WHERE state = 'waiting' AND not_before <= ?1 ORDER BY not_before, id LIMIT ?2";
    IS_DUE = "SELECT 1 FROM background WHERE state = 'waiting' AND not_before <= ?1 LIMIT 1";
    CLAIM = "UPDATE background SET state = 'running', fence = fence + 1, server = ?2, instance = ?3, \
        claim_expires_at = ?4 WHERE id = ?1 RETURNING id, fence, cid, service, step, payload, put_at, retries, lost";
    ENDS = "SELECT ending FROM background WHERE parent = ?1 ORDER BY place";
    RENEW = "UPDATE background SET claim_expires_at = ?3 WHERE id = ?1 AND fence = ?2 AND state = 'running'";
    RETRY = "UPDATE background SET state = 'waiting', not_before = ?3, retries = retries + 1, error = ?4, \
        claim_expires_at = NULL WHERE id = ?1 AND fence = ?2 AND state = 'running'";
    RELEASE = "UPDATE background SET state = 'waiting', not_before = ?3, claim_expires_at = NULL \
        WHERE id = ?1 AND fence = ?2 AND state = 'running'";
    EXPIRE = "UPDATE background SET state = 'waiting', lost = lost + 1, claim_expires_at = NULL \
        WHERE state = 'running' AND claim_expires_at <= ?1";
    FREE_OF_DEAD = "UPDATE background SET state = 'waiting', lost = lost + 1, claim_expires_at = NULL \
        WHERE state = 'running' AND server = ?1 AND (?2 OR instance <> ?3)";
    EXTEND = "UPDATE background SET claim_expires_at = ?1 WHERE state = 'running' AND claim_expires_at < ?1";
}

/// Gives out what is due.
pub(super) fn claim(
    context: &mut WriteContext<'_>,
    claimer: &BackgroundClaimer,
    max: u32,
) -> DbResult<Vec<ClaimedBackground>> {
    expire(context)?;
    let due: Vec<u64> = context
        .db
        .all(DUE, params![context.now.as_millis(), max], |row| row.get(0))?;
    let expires_at = later(context.now, claimer.lease_ms).as_millis();
    let mut claimed = Vec::with_capacity(due.len());
    for id in due {
        let params = params![id, claimer.server, claimer.instance.as_str(), expires_at];
        let Some(mut call) = context.db.one(CLAIM, params, claimed_call)? else {
            continue;
        };
        call.ends = context
            .db
            .all(ENDS, [id], |row| json_column::<BackgroundOutcome>(row, 0))?;
        claimed.push(call);
    }
    Ok(claimed)
}

/// Keeps claims; those that are still the caller's.
pub(super) fn renew(
    context: &WriteContext<'_>,
    claims: &[BackgroundClaim],
    lease_ms: u64,
) -> DbResult<Vec<BackgroundClaim>> {
    let expires_at = later(context.now, lease_ms).as_millis();
    let mut kept = Vec::with_capacity(claims.len());
    for claim in claims {
        if context.db.run(RENEW, params![claim.id, claim.fence, expires_at])? > 0 {
            kept.push(*claim);
        }
    }
    Ok(kept)
}

/// Puts a call back for later.
pub(super) fn retry(
    context: &mut WriteContext<'_>,
    claim: BackgroundClaim,
    delay_ms: u64,
    error: &str,
) -> DbResult<()> {
    let not_before = later(context.now, delay_ms).as_millis();
    let params = params![claim.id, claim.fence, not_before, cut(error)];
    if context.db.run(RETRY, params)? == 0 {
        return Err(fenced(claim).into());
    }
    if delay_ms == 0 {
        context.changes.add(Change::Background);
    }
    Ok(())
}

/// Gives calls back; what is no longer the caller's stays as it is.
pub(super) fn release(context: &mut WriteContext<'_>, claims: &[BackgroundClaim]) -> DbResult<()> {
    for claim in claims {
        let params = params![claim.id, claim.fence, context.now.as_millis()];
        context.db.run(RELEASE, params)?;
    }
    context.changes.add(Change::Background);
    Ok(())
}

/// Ends claims whose time is over, and says if something may be claimed.
pub(in crate::sqlite) fn announce_due(context: &mut WriteContext<'_>) -> DbResult<()> {
    expire(context)?;
    if context.db.one(IS_DUE, [context.now.as_millis()], |_| Ok(()))?.is_some() {
        context.changes.add(Change::Background);
    }
    Ok(())
}

/// Ends the claims of a server that died (`dead`), or whose process is another one now.
pub(in crate::sqlite) fn free_of_dead(
    context: &mut WriteContext<'_>,
    server: &str,
    instance: &InstanceId,
    dead: bool,
) -> DbResult<()> {
    if context.db.run(FREE_OF_DEAD, params![server, dead, instance.as_str()])? > 0 {
        context.changes.add(Change::Background);
    }
    Ok(())
}

/// Lets the claims of before live on a little after a start, since nobody could renew them while the store was away.
pub(in crate::sqlite) fn extend_claims(db: &Connection, settings: &SqliteSettings, now: Timestamp) -> DbResult<()> {
    db.run(EXTEND, [now.plus(settings.claim_grace.0).as_millis()])?;
    Ok(())
}

/// The error of a call that another one has.
pub(super) fn fenced(claim: BackgroundClaim) -> StoreError {
    StoreError::Fenced(format!("background call {} with fence {}", claim.id, claim.fence))
}

fn expire(context: &WriteContext<'_>) -> DbResult<()> {
    context.db.run(EXPIRE, [context.now.as_millis()])?;
    Ok(())
}

fn claimed_call(row: &Row<'_>) -> rusqlite::Result<ClaimedBackground> {
    Ok(ClaimedBackground {
        claim: BackgroundClaim {
            id: row.get(0)?,
            fence: row.get(1)?,
        },
        cid: row.get(2)?,
        service: row.get(3)?,
        step: json_column(row, 4)?,
        payload: row.get::<_, Vec<u8>>(5)?.into(),
        put_at: time_column(row, 6)?,
        retries: row.get(7)?,
        lost: row.get(8)?,
        ends: Vec::new(),
    })
}
