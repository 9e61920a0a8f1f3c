//! Background calls. `open` in the counters says how many calls have not ended for good: all but those that failed.

mod claim;
mod finish;

use rusqlite::{Row, params};

pub(super) use self::claim::{announce_due, extend_claims, free_of_dead};
pub(super) use self::finish::trim;
use super::connection::{Db, DbResult, statements, time_column, to_json, to_word, word_column};
use super::counters;
use super::leases::later;
use super::readers::{ReadContext, not_a_read};
use super::writer::{Change, WriteContext, not_a_write};
use crate::background::{
    BackgroundClaim, BackgroundClaimer, BackgroundReply, BackgroundRequest, BackgroundState, BackgroundSummary,
    NewBackground,
};
use crate::error::StoreError;

#[cfg(test)]
pub(super) use self::{claim::STATEMENTS as CLAIM, finish::STATEMENTS as FINISH};

macro_rules! summary {
    () => {
        "SELECT id, cid, service, state, server, put_at, fence, error FROM background WHERE id < ?1"
    };
}

statements! {
    PUT = "INSERT INTO background(cid, service, step, payload, state, parent, place, pending, put_at, not_before, \
        fence, server, instance, claim_expires_at) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) \
        RETURNING id";
    LIST = concat!(summary!(), " ORDER BY id DESC LIMIT ?2");
    LIST_STATE = concat!(summary!(), " AND state = ?3 ORDER BY id DESC LIMIT ?2");
}

/// The counter of calls that have not ended for good.
const OPEN: &str = "background_open";

/// Does a write.
pub(super) fn write(context: &mut WriteContext<'_>, request: &BackgroundRequest) -> DbResult<BackgroundReply> {
    match request {
        BackgroundRequest::Put { calls, then, claimer } => {
            put_all(context, calls, then.as_deref(), claimer.as_ref()).map(BackgroundReply::Put)
        }
        BackgroundRequest::Claim { claimer, max } => claim::claim(context, claimer, *max).map(BackgroundReply::Claimed),
        BackgroundRequest::Renew { claims, lease_ms } => {
            claim::renew(context, claims, *lease_ms).map(BackgroundReply::Renewed)
        }
        BackgroundRequest::Finish { claim, outcome, next } => {
            finish::finish(context, *claim, outcome, next).map(|()| BackgroundReply::Done)
        }
        BackgroundRequest::Retry { claim, delay_ms, error } => {
            claim::retry(context, *claim, *delay_ms, error).map(|()| BackgroundReply::Done)
        }
        BackgroundRequest::Release { claims } => claim::release(context, claims).map(|()| BackgroundReply::Done),
        BackgroundRequest::List { .. } | BackgroundRequest::CountOpen => Err(not_a_write()),
    }
}

/// Does a read.
pub(super) fn read(context: &ReadContext<'_>, request: &BackgroundRequest) -> DbResult<BackgroundReply> {
    match request {
        BackgroundRequest::List { state, after, limit } => {
            let after = after.map_or(i64::MAX, |id| i64::try_from(id).unwrap_or(i64::MAX));
            let calls = match state {
                None => context.db.all(LIST, params![after, limit], summary)?,
                Some(state) => {
                    let state = to_word(state)?;
                    context.db.all(LIST_STATE, params![after, limit, state], summary)?
                }
            };
            Ok(BackgroundReply::List(calls))
        }
        BackgroundRequest::CountOpen => Ok(BackgroundReply::Open(counters::get(context.db, OPEN)?)),
        _ => Err(not_a_read()),
    }
}

fn put_all(
    context: &mut WriteContext<'_>,
    calls: &[NewBackground],
    then: Option<&NewBackground>,
    claimer: Option<&BackgroundClaimer>,
) -> DbResult<Vec<BackgroundClaim>> {
    let added = u64::try_from(calls.len() + usize::from(then.is_some())).unwrap_or(u64::MAX);
    let open = counters::get(context.db, OPEN)?;
    let most = context.settings.background_open_max;
    if open.saturating_add(added) > most {
        return Err(StoreError::Conflict(format!(
            "{open} background calls are open and {added} more would be over the limit of {most}"
        ))
        .into());
    }
    let parent = match then {
        None => None,
        Some(call) => {
            let waits_for = u64::try_from(calls.len()).unwrap_or(u64::MAX);
            let place = Place {
                pending: waits_for,
                ..Place::default()
            };
            // It is nobody's before it is due.
            Some(put(context, call, place, None)?.id)
        }
    };
    let mut claims = Vec::with_capacity(calls.len());
    for (number, call) in (0_u64..).zip(calls) {
        let place = Place {
            parent,
            number,
            pending: 0,
        };
        // Only what may be made at once can be claimed at once.
        claims.push(put(context, call, place, claimer.filter(|_| call.delay_ms == 0))?);
    }
    if claimer.is_none() {
        claims.clear();
        context.changes.add(Change::Background);
    }
    Ok(claims)
}

/// Where a call stands among others.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// The call that waits for this one.
    parent: Option<u64>,
    /// Its number among those that the parent waits for.
    number: u64,
    /// How many it waits for itself.
    pending: u64,
}

fn put(
    context: &mut WriteContext<'_>,
    call: &NewBackground,
    place: Place,
    claimer: Option<&BackgroundClaimer>,
) -> DbResult<BackgroundClaim> {
    let now = context.now.as_millis();
    let state = match (place.pending, claimer) {
        (0, Some(_)) => BackgroundState::Running,
        (0, None) => BackgroundState::Waiting,
        _ => BackgroundState::Blocked,
    };
    let fence = u64::from(claimer.is_some());
    let payload: &[u8] = &call.payload;
    let params = params![
        call.cid,
        call.service,
        to_json(&call.step)?,
        payload,
        to_word(&state)?,
        place.parent,
        place.number,
        place.pending,
        now,
        later(context.now, call.delay_ms).as_millis(),
        fence,
        claimer.map_or("", |claimer| &claimer.server),
        claimer.map_or("", |claimer| claimer.instance.as_str()),
        claimer.map(|claimer| later(context.now, claimer.lease_ms).as_millis()),
    ];
    let id = context.db.one(PUT, params, |row| row.get(0))?.unwrap_or(0);
    counters::add(context.db, OPEN, 1)?;
    Ok(BackgroundClaim { id, fence })
}

fn summary(row: &Row<'_>) -> rusqlite::Result<BackgroundSummary> {
    Ok(BackgroundSummary {
        id: row.get(0)?,
        cid: row.get(1)?,
        service: row.get(2)?,
        state: word_column(row, 3)?,
        server: row.get(4)?,
        put_at: time_column(row, 5)?,
        attempts: row.get(6)?,
        error: row.get(7)?,
    })
}
