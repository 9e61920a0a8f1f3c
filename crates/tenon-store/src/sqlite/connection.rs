//! Connections to the file, and the few ways in which statements are run.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Params, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::StoreError;

/// How many prepared statements a connection keeps: more than there are.
const STATEMENTS_MAX: usize = 256;

/// Names the statements of a file, so that a test can prepare each of them.
macro_rules! statements {
    ($($name:ident = $sql:expr;)+) => {
        $(const $name: &str = $sql;)+

        #[cfg(test)]
        pub(in crate::sqlite) const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
    };
}
pub(super) use statements;

/// Why a request was not done: the file, or the request.
#[derive(Debug, thiserror::Error)]
pub(super) enum DbError {
    /// SQLite says no.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The request can't be done.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DbError {
    /// What callers are told.
    pub(super) fn into_store_error(self) -> StoreError {
        match self {
            DbError::Store(error) => error,
            DbError::Sqlite(error) => StoreError::Storage(error.to_string()),
        }
    }
}

/// The result of work on the file.
pub(super) type DbResult<T> = Result<T, DbError>;

/// Opens the connection that writes; makes the file if there is none.
pub(super) fn open_writer(path: &Path) -> DbResult<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.busy_timeout(Duration::from_secs(5))?;
    // Takes effect only before the first table exists; lets pages be given back to the file system later.
    connection
        .execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Storage(format!("{} can't be used with a write-ahead log", path.display())).into());
    }
    Ok(connection)
}

/// Opens a connection that only reads.
pub(super) fn open_reader(path: &Path) -> DbResult<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

/// The ways in which statements are run; all of them keep the prepared statement.
pub(super) trait Db {
    /// Runs a statement that returns no rows; says how many it changed.
    fn run(&self, sql: &str, params: impl Params) -> DbResult<usize>;

    /// The first row, if there is one.
    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> DbResult<Option<T>>;

    /// Every row.
    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> DbResult<Vec<T>>;
}

impl Db for Connection {
    fn run(&self, sql: &str, params: impl Params) -> DbResult<usize> {
        Ok(self.prepare_cached(sql)?.execute(params)?)
    }

    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> DbResult<Option<T>> {
        Ok(self.prepare_cached(sql)?.query_row(params, map).optional()?)
    }

    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> DbResult<Vec<T>> {
        let mut statement = self.prepare_cached(sql)?;
        let rows = statement.query_map(params, map)?;
        Ok(rows.collect::<rusqlite::Result<Vec<T>>>()?)
    }
}

/// A value as the JSON text of a column.
pub(super) fn to_json<T: Serialize>(value: &T) -> DbResult<String> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Invalid(format!("can't be written as JSON: {error}")).into())
}

/// A value of an enumeration as the word that its column holds.
pub(super) fn to_word<T: Serialize>(value: &T) -> DbResult<String> {
    Ok(to_json(value)?.trim_matches('"').to_owned())
}

/// The value of a JSON column.
pub(super) fn json_column<T: DeserializeOwned>(row: &Row<'_>, index: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(index)?.as_str()?;
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, Box::new(error)))
}

/// The value of a column that holds one word of an enumeration.
pub(super) fn word_column<T: DeserializeOwned>(row: &Row<'_>, index: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(index)?.as_str()?;
    let word = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(text);
    T::deserialize(word)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, Box::new(error)))
}

/// The instant of a column.
pub(super) fn time_column(row: &Row<'_>, index: usize) -> rusqlite::Result<tenon_model::Timestamp> {
    row.get(index).map(tenon_model::Timestamp::from_millis)
}

/// The instant of a column that may be empty.
pub(super) fn optional_time_column(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<tenon_model::Timestamp>> {
    let millis: Option<i64> = row.get(index)?;
    Ok(millis.map(tenon_model::Timestamp::from_millis))
}
