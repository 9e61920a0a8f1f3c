//! Numbers of the cluster that only grow.

use rusqlite::Connection;

use super::connection::{Db, DbResult, statements};

statements! {
    NEXT = "INSERT INTO counters(name, value) VALUES(?1, 1) \
        ON CONFLICT(name) DO UPDATE SET value = value + 1 RETURNING value";
    GET = "SELECT value FROM counters WHERE name = ?1";
}

/// The next number of this counter, from 1.
pub(super) fn next(db: &Connection, counter: &str) -> DbResult<u64> {
    Ok(db.one(NEXT, [counter], |row| row.get(0))?.unwrap_or(0))
}

/// The last number of this counter; 0 if it never gave one.
pub(super) fn get(db: &Connection, counter: &str) -> DbResult<u64> {
    Ok(db.one(GET, [counter], |row| row.get(0))?.unwrap_or(0))
}
