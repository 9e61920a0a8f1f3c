//! The ids of writes done of late, with their replies.

use rusqlite::{Connection, params};
use tenon_model::{OperationId, Timestamp};

use super::connection::{Db, DbResult, statements};
use crate::engine::Reply;
use crate::error::StoreError;
use crate::settings::SqliteSettings;

statements! {
    FIND = "SELECT reply FROM operations WHERE id = ?1";
    KEEP = "INSERT INTO operations(id, at, reply) VALUES(?1, ?2, ?3)";
    RANGE = "SELECT ifnull(min(seq), 0), ifnull(max(seq), -1) FROM operations";
    TRIM = "DELETE FROM operations WHERE seq <= ?1 AND at < ?2";
}

/// How many ids are forgotten in one transaction.
const TRIM_MAX: i64 = 5_000;

/// Ids younger than this are kept however many they are: clients repeat for much less long.
const KEPT_ALWAYS_MS: i64 = 60_000;

/// The reply of an operation that was done.
pub(super) fn find(db: &Connection, id: &OperationId) -> DbResult<Option<Reply>> {
    let bytes: Option<Vec<u8>> = db.one(FIND, [id.as_str()], |row| row.get(0))?;
    bytes
        .map(|bytes| {
            rmp_serde::from_slice(&bytes)
                .map_err(|error| StoreError::Storage(format!("the reply of a repeated write: {error}")).into())
        })
        .transpose()
}

/// Remembers that an operation was done.
pub(super) fn keep(db: &Connection, id: &OperationId, reply: &Reply, now: Timestamp) -> DbResult<()> {
    let bytes =
        rmp_serde::to_vec_named(reply).map_err(|error| StoreError::Storage(format!("can't keep a reply: {error}")))?;
    db.run(KEEP, params![id.as_str(), now.as_millis(), bytes])?;
    Ok(())
}

/// Forgets the oldest operations if they are too old, or too many.
pub(super) fn trim(db: &Connection, settings: &SqliteSettings, now: Timestamp) -> DbResult<()> {
    let kept_ms = i64::try_from(settings.operations_kept.0.as_millis()).unwrap_or(i64::MAX);
    let kept_max = i64::try_from(settings.operations_max).unwrap_or(i64::MAX);
    let (oldest, newest): (i64, i64) = db
        .one(RANGE, [], |row| Ok((row.get(0)?, row.get(1)?)))?
        .unwrap_or((0, -1));
    // Looking at a bounded range of the oldest keeps this cheap when there is nothing to forget.
    let old_before = now.as_millis().saturating_sub(kept_ms);
    db.run(TRIM, params![oldest + TRIM_MAX - 1, old_before])?;
    let too_many = (newest - oldest + 1).saturating_sub(kept_max).min(TRIM_MAX);
    if too_many > 0 {
        db.run(TRIM, params![oldest + too_many - 1, now.as_millis() - KEPT_ALWAYS_MS])?;
    }
    Ok(())
}
