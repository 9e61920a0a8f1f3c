//! The tables of `state.db`, and how a file of an earlier version gets them.

use std::path::Path;

use rusqlite::Connection;

use super::connection::DbError;
use crate::error::StoreError;

/// One script for each schema version, in order. A script that has been released is never changed.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_background.sql"),
    include_str!("migrations/0003_answers.sql"),
    include_str!("migrations/0004_canaries.sql"),
];

/// Marks the file as ours: "Teno".
const APPLICATION_ID: i64 = 0x5465_6e6f;

/// Brings the file to the newest schema version, or refuses it if it is newer than that.
pub(super) fn migrate(connection: &Connection, path: &Path) -> Result<(), DbError> {
    let found: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(StoreError::NewerSchema {
            path: path.display().to_string(),
            found,
            known,
        }
        .into());
    }
    for (version, script) in (1_u32..).zip(MIGRATIONS).skip(found as usize) {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {script}; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version}; COMMIT;"
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_newer_version_is_refused_and_not_touched() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("PRAGMA user_version = 999").unwrap();
        let error = migrate(&connection, Path::new("state.db")).unwrap_err();
        let DbError::Store(StoreError::NewerSchema { found, known, .. }) = error else {
            panic!("another error: {error:?}");
        };
        assert_eq!((found, known as usize), (999, MIGRATIONS.len()));
        let tables: u32 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .unwrap();
        assert_eq!(tables, 0);
    }

    #[test]
    fn migrating_twice_changes_nothing() {
        let connection = Connection::open_in_memory().unwrap();
        migrate(&connection, Path::new("state.db")).unwrap();
        migrate(&connection, Path::new("state.db")).unwrap();
        let version: usize = connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .unwrap();
        assert_eq!(version, MIGRATIONS.len());
    }
}
