//! SQLite: a file of this host, worked on by threads for blocking work.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::types::{ToSqlOutput, Value as SqlValue, ValueRef};
use rusqlite::{Connection, ErrorCode, InterruptHandle, OpenFlags};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::config::SqlOutgoing;
use super::outgoing::{Query, ResultLimits, RowSet};
use crate::connector::OutgoingError;
use crate::pool::{Pool, Slot};

/// The longest time that a lock is waited for, whatever the deadline.
const LOCK_WAIT_MAX: Duration = Duration::from_hours(1);

/// An SQLite database with its connections.
#[derive(Debug)]
pub(super) struct Sqlite {
    path: PathBuf,
    limits: ResultLimits,
    pub pool: Pool<Connection>,
}

impl Sqlite {
    /// The database of a file that need not exist yet.
    pub(super) fn new(path: PathBuf, config: &SqlOutgoing) -> Self {
        Self {
            path,
            limits: ResultLimits::of(config),
            pool: Pool::new(config.pool_size, config.idle_timeout.0, |_| true),
        }
    }

    /// The file, for people to read.
    pub(super) fn address(&self) -> String {
        self.path.display().to_string()
    }

    /// Runs a statement on a thread of its own; at the deadline, or when the caller gives up, it is interrupted.
    pub(super) async fn run(&self, query: Query, deadline: Instant) -> Result<RowSet, OutgoingError> {
        let slot = self.pool.slot(deadline).await?;
        let (path, limits) = (self.path.clone(), self.limits);
        let mut watch = Watch(Arc::new(Mutex::new(Phase::Opening)));
        let phase = Arc::clone(&watch.0);
        let work = self.pool.tasks.spawn_blocking(move || {
            let connection = connection(&slot, &path)?;
            if !begin(&phase, &connection) {
                return Err(OutgoingError::Timeout("the call was given up".to_owned()));
            }
            // A lock that another process holds is waited for, but not beyond the deadline.
            let left = deadline.saturating_duration_since(Instant::now()).min(LOCK_WAIT_MAX);
            let result = connection
                .busy_timeout(left)
                .map_err(|error| explain(&error))
                .and_then(|()| execute(&connection, &query, limits));
            if end(&phase) {
                slot.give_back(connection);
            }
            result
        });
        let result = timeout_at(deadline, work).await;
        watch.give_up();
        result
            .map_err(|_| OutgoingError::Timeout("the statement did not end in time and was interrupted".to_owned()))?
            .map_err(|_| OutgoingError::Failed("the statement ended with a panic".to_owned()))?
    }
}

/// How far the thread of a call is. Who changes it holds the lock, so that an interrupt never hits the next call.
enum Phase {
    Opening,
    Running(InterruptHandle),
    /// The thread is done, or the caller is gone.
    Over,
}

/// The caller's side: interrupts the statement when the caller goes away.
struct Watch(Arc<Mutex<Phase>>);

impl Watch {
    fn give_up(&mut self) {
        let mut phase = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Phase::Running(handle) = &*phase {
            handle.interrupt();
        }
        *phase = Phase::Over;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// Whether the caller still waits; then the statement may run.
fn begin(phase: &Mutex<Phase>, connection: &Connection) -> bool {
    let mut phase = phase.lock().unwrap_or_else(PoisonError::into_inner);
    let is_wanted = matches!(*phase, Phase::Opening);
    if is_wanted {
        *phase = Phase::Running(connection.get_interrupt_handle());
    }
    is_wanted
}

/// Whether no interrupt is under way, so that the connection can be used again.
fn end(phase: &Mutex<Phase>) -> bool {
    let mut phase = phase.lock().unwrap_or_else(PoisonError::into_inner);
    let is_clean = matches!(*phase, Phase::Running(_));
    *phase = Phase::Over;
    is_clean
}

fn connection(slot: &Slot<Connection>, path: &Path) -> Result<Connection, OutgoingError> {
    if let Some((connection, _)) = slot.take_idle() {
        return Ok(connection);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let unavailable =
        |error: rusqlite::Error| OutgoingError::Unavailable(format!("{} can't be opened: {error}", path.display()));
    let connection = Connection::open_with_flags(path, flags).map_err(unavailable)?;
    connection
        .pragma_update(None, "foreign_keys", true)
        .map_err(unavailable)?;
    Ok(connection)
}

fn execute(connection: &Connection, query: &Query, limits: ResultLimits) -> Result<RowSet, OutgoingError> {
    let set = execute_statement(connection, query, limits);
    if !connection.is_autocommit() {
        // A `BEGIN` would leave its transaction to whoever gets the connection next.
        connection.execute_batch("ROLLBACK").map_err(|error| explain(&error))?;
        return Err(OutgoingError::Invalid(
            "each call is a transaction of its own; BEGIN does not reach beyond it and was rolled back".to_owned(),
        ));
    }
    set
}

fn execute_statement(connection: &Connection, query: &Query, limits: ResultLimits) -> Result<RowSet, OutgoingError> {
    let mut statement = connection
        .prepare_cached(&query.statement.text)
        .map_err(|error| explain(&error))?;
    if statement.parameter_count() != query.values.len() {
        return Err(OutgoingError::Invalid(
            "parameters are written ':name', not '?', '@name' or '$name'".to_owned(),
        ));
    }
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    for (index, (value, name)) in query.values.iter().zip(&query.statement.names).enumerate() {
        let value = encode(value).map_err(|reason| OutgoingError::Invalid(format!("parameter '{name}': {reason}")))?;
        statement
            .raw_bind_parameter(index + 1, ToSqlOutput::Owned(value))
            .map_err(|error| explain(&error))?;
    }
    let changes_before = connection.total_changes();
    let mut found = Vec::new();
    let mut bytes = 0;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(|error| explain(&error))? {
        let mut cells = Vec::with_capacity(columns.len());
        for index in 0..columns.len() {
            let cell = row.get_ref(index).map_err(|error| explain(&error))?;
            bytes += size_of_cell(cell);
            cells.push(decode(cell));
        }
        found.push(cells);
        limits.check(found.len(), bytes)?;
    }
    drop(rows);
    let has_changed = connection.total_changes() != changes_before;
    let is_query = !columns.is_empty() && !has_changed;
    let rows_affected = match (is_query, has_changed) {
        (true, _) => found.len() as u64,
        (false, true) => connection.changes(),
        (false, false) => 0,
    };
    Ok(RowSet {
        columns,
        rows: found,
        rows_affected,
    })
}

fn encode(value: &Value) -> Result<SqlValue, String> {
    Ok(match value {
        Value::Null => SqlValue::Null,
        Value::Bool(flag) => SqlValue::Integer(i64::from(*flag)),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => SqlValue::Integer(integer),
            (None, _) if number.is_u64() => {
                return Err("an integer of SQLite is at most 9223372036854775807".to_owned());
            }
            (None, Some(float)) => SqlValue::Real(float),
            (None, None) => return Err("the number is too large".to_owned()),
        },
        Value::String(text) => SqlValue::Text(text.clone()),
        Value::Array(_) | Value::Object(_) => SqlValue::Text(value.to_string()),
    })
}

fn decode(cell: ValueRef<'_>) -> Value {
    match cell {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(integer) => Value::from(integer),
        // Infinity is no number of JSON.
        ValueRef::Real(float) => {
            serde_json::Number::from_f64(float).map_or_else(|| Value::String(float.to_string()), Value::Number)
        }
        ValueRef::Text(text) => Value::String(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(blob) => Value::String(STANDARD.encode(blob)),
    }
}

fn size_of_cell(cell: ValueRef<'_>) -> u64 {
    match cell {
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => 8,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len() as u64,
    }
}

fn explain(error: &rusqlite::Error) -> OutgoingError {
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => OutgoingError::Timeout("the statement was interrupted".to_owned()),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            OutgoingError::Unavailable(format!("the database is locked: {text}"))
        }
        Some(ErrorCode::CannotOpen) => OutgoingError::Unavailable(text),
        Some(ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => OutgoingError::Refused(text),
        _ if matches!(error, rusqlite::Error::MultipleStatement) => {
            OutgoingError::Invalid("a call takes one statement".to_owned())
        }
        _ => OutgoingError::Failed(text),
    }
}
