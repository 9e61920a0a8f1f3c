//! Leases.

use rusqlite::{Connection, params};
use tenon_model::{InstanceId, Timestamp};

use super::connection::{Db, DbResult, statements, time_column};
use super::readers::{ReadContext, not_a_read};
use super::writer::{WriteContext, not_a_write};
use crate::error::StoreError;
use crate::leases::{Lease, LeaseReply, LeaseRequest};

statements! {
    GET = "SELECT holder, epoch, expires_at FROM leases WHERE name = ?1";
    PUT = "INSERT INTO leases(name, holder, epoch, expires_at) VALUES(?1, ?2, ?3, ?4) \
        ON CONFLICT(name) DO UPDATE SET holder = excluded.holder, epoch = excluded.epoch, expires_at = excluded.expires_at";
    RENEW = "UPDATE leases SET expires_at = ?4 WHERE name = ?1 AND holder = ?2 AND epoch = ?3";
    RELEASE = "UPDATE leases SET holder = '', expires_at = 0 WHERE name = ?1 AND holder = ?2 AND epoch = ?3";
}

/// Does a write.
pub(super) fn write(context: &mut WriteContext<'_>, request: &LeaseRequest) -> DbResult<LeaseReply> {
    match request {
        LeaseRequest::Acquire { name, holder, ttl_ms } => {
            acquire(context, name, holder, *ttl_ms).map(LeaseReply::Lease)
        }
        LeaseRequest::Renew { lease, ttl_ms } => renew(context, lease, *ttl_ms).map(LeaseReply::Lease),
        LeaseRequest::Release(lease) => {
            let params = params![lease.name, lease.holder.as_str(), lease.epoch];
            context.db.run(RELEASE, params)?;
            Ok(LeaseReply::Done)
        }
        LeaseRequest::Get { .. } => Err(not_a_write()),
    }
}

/// Does a read.
pub(super) fn read(context: &ReadContext<'_>, request: &LeaseRequest) -> DbResult<LeaseReply> {
    let LeaseRequest::Get { name } = request else {
        return Err(not_a_read());
    };
    let lease = get(context.db, name)?.filter(|lease| is_held(lease, context.now));
    Ok(LeaseReply::Lease(lease))
}

/// Refuses a write under a lease that is no longer held.
pub(super) fn check(context: &WriteContext<'_>, lease: &Lease) -> DbResult<()> {
    let present = get(context.db, &lease.name)?;
    if present.is_some_and(|present| is_same(&present, lease) && is_held(&present, context.now)) {
        return Ok(());
    }
    Err(StoreError::Fenced(format!("lease '{}' of epoch {}", lease.name, lease.epoch)).into())
}

fn acquire(context: &mut WriteContext<'_>, name: &str, holder: &InstanceId, ttl_ms: u64) -> DbResult<Option<Lease>> {
    let present = get(context.db, name)?;
    let held = present.as_ref().filter(|lease| is_held(lease, context.now));
    if held.is_some_and(|lease| lease.holder != *holder) {
        return Ok(None);
    }
    let epoch = match held {
        Some(lease) => lease.epoch,
        None => present.map_or(0, |lease| lease.epoch) + 1,
    };
    let expires_at = later(context.now, ttl_ms);
    let params = params![name, holder.as_str(), epoch, expires_at.as_millis()];
    context.db.run(PUT, params)?;
    Ok(Some(Lease {
        name: name.to_owned(),
        holder: holder.clone(),
        epoch,
        expires_at,
    }))
}

fn renew(context: &mut WriteContext<'_>, lease: &Lease, ttl_ms: u64) -> DbResult<Option<Lease>> {
    let present = get(context.db, &lease.name)?;
    if !present.is_some_and(|present| is_same(&present, lease) && is_held(&present, context.now)) {
        return Ok(None);
    }
    let expires_at = later(context.now, ttl_ms);
    let params = params![lease.name, lease.holder.as_str(), lease.epoch, expires_at.as_millis()];
    context.db.run(RENEW, params)?;
    Ok(Some(Lease {
        expires_at,
        ..lease.clone()
    }))
}

fn get(db: &Connection, name: &str) -> DbResult<Option<Lease>> {
    db.one(GET, [name], |row| {
        Ok(Lease {
            name: name.to_owned(),
            holder: InstanceId::from_text(row.get::<_, String>(0)?),
            epoch: row.get(1)?,
            expires_at: time_column(row, 2)?,
        })
    })
}

fn is_same(present: &Lease, lease: &Lease) -> bool {
    present.epoch == lease.epoch && present.holder == lease.holder
}

fn is_held(lease: &Lease, now: Timestamp) -> bool {
    !lease.holder.as_str().is_empty() && lease.expires_at > now
}

/// The instant so many milliseconds later.
pub(super) fn later(now: Timestamp, millis: u64) -> Timestamp {
    now.plus(std::time::Duration::from_millis(millis))
}
