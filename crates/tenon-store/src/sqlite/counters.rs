//! Numbers of the cluster: most only grow.

use rusqlite::{Connection, params};

use super::connection::{Db, DbResult, statements};

statements! {
    NEXT = "INSERT INTO counters(name, value) VALUES(?1, 1) \
        ON CONFLICT(name) DO UPDATE SET value = value + 1 RETURNING value";
    ADD = "INSERT INTO counters(name, value) VALUES(?1, ?2) \
        ON CONFLICT(name) DO UPDATE SET value = value + excluded.value";
    GET = "SELECT value FROM counters WHERE name = ?1";
}

/// The next number of this counter, from 1.
pub(super) fn next(db: &Connection, counter: &str) -> DbResult<u64> {
    Ok(db.one(NEXT, [counter], |row| row.get(0))?.unwrap_or(0))
}

/// Adds to a counter that is a sum.
pub(super) fn add(db: &Connection, counter: &str, amount: i64) -> DbResult<()> {
    db.run(ADD, params![counter, amount])?;
    Ok(())
}

/// The last number of this counter; 0 if it never gave one.
pub(super) fn get(db: &Connection, counter: &str) -> DbResult<u64> {
    Ok(db.one(GET, [counter], |row| row.get(0))?.unwrap_or(0))
}
