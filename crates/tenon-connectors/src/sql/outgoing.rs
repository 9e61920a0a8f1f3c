//! An outgoing SQL connection: operations, arguments and the shape of results.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tenon_model::FieldProblem;
use tokio::time::Instant;

use super::config::{Database, SqlOutgoing};
use super::postgres::Postgres;
use super::sqlite::Sqlite;
use super::statement::{Dialect, Numbered, first_word, number};
use crate::connection::{Operations, earliest};
use crate::connector::{ConnectorError, OutgoingCall, OutgoingContext, OutgoingError, OutgoingReply};

/// Statements that would change what the next call on the same connection sees.
const TRANSACTION_WORDS: [&str; 10] = [
    "begin",
    "start",
    "commit",
    "end",
    "rollback",
    "abort",
    "savepoint",
    "release",
    "listen",
    "copy",
];

/// A live outgoing SQL connection.
#[derive(Debug)]
pub(super) struct SqlConnection {
    timeout: Duration,
    engine: Engine,
}

/// The database behind a connection. Two are known, so this is no trait.
#[derive(Debug)]
enum Engine {
    Postgres(Box<Postgres>),
    Sqlite(Sqlite),
}

/// How much a call may return.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResultLimits {
    pub rows_max: u32,
    pub bytes_max: u64,
}

/// A statement to run: numbered, with a value for each parameter.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub statement: Numbered,
    pub values: Vec<Value>,
}

/// What a statement gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct RowSet {
    /// Names of the columns; none if the statement returns no rows.
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Value>>,
    pub rows_affected: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// The statement, with parameters as `:name`.
    query: String,
    /// The parameters' values; those that the statement does not name are ignored.
    #[serde(default)]
    params: Option<Map<String, Value>>,
    /// Stands in for the connection's own timeout.
    #[serde(default)]
    timeout_ms: Option<u64>,
}

impl SqlConnection {
    /// The connection of a config. Nothing is connected yet.
    pub(super) fn new(config: &SqlOutgoing, context: &OutgoingContext) -> Result<Self, ConnectorError> {
        let database = Database::parse(&config.url)
            .map_err(|message| ConnectorError::Body(vec![FieldProblem::new("url", message)]))?;
        let engine = match database {
            Database::Postgres(server, is_tls) => {
                Engine::Postgres(Box::new(Postgres::new(*server, is_tls, config, context)?))
            }
            Database::Sqlite(path) => Engine::Sqlite(Sqlite::new(path, config)),
        };
        Ok(Self {
            timeout: config.timeout.0,
            engine,
        })
    }
}

impl Operations for SqlConnection {
    async fn run(&self, call: OutgoingCall) -> Result<OutgoingReply, OutgoingError> {
        let operation = Operation::of(&call.operation)?;
        let arguments: Arguments = serde_json::from_value(call.arguments)
            .map_err(|error| OutgoingError::Invalid(format!("arguments of '{}': {error}", call.operation)))?;
        let timeout = arguments.timeout_ms.map_or(self.timeout, Duration::from_millis);
        let query = Query::new(
            &arguments.query,
            arguments.params.unwrap_or_default(),
            self.engine.dialect(),
        )?;
        let deadline = earliest(timeout, call.deadline);
        let result = operation.shape(self.engine.run(query, deadline).await?)?;
        let body = serde_json::to_vec(&result).expect("a JSON value always serialises");
        Ok(OutgoingReply {
            result: Value::Null,
            body: Bytes::from(body),
        })
    }

    async fn ping(&self, deadline: Option<Instant>) -> Result<String, OutgoingError> {
        let deadline = earliest(self.timeout, deadline);
        let (text, product) = match &self.engine {
            Engine::Postgres(_) => ("SELECT current_setting('server_version')", "PostgreSQL"),
            // Reading the schema is what finds out that a file is no database.
            Engine::Sqlite(_) => ("SELECT sqlite_version(), count(*) FROM sqlite_schema", "SQLite"),
        };
        let query = Query::new(text, Map::new(), self.engine.dialect())?;
        let rows = self.engine.run(query, deadline).await?;
        let version = rows
            .rows
            .first()
            .and_then(|row| row.first())
            .and_then(Value::as_str)
            .unwrap_or_default();
        Ok(format!("{product} {version} answered"))
    }

    fn close(&self) {
        match &self.engine {
            Engine::Postgres(engine) => engine.pool.close(),
            Engine::Sqlite(engine) => engine.pool.close(),
        }
    }

    fn status(&self) -> Map<String, Value> {
        let (address, mut status) = match &self.engine {
            Engine::Postgres(engine) => (engine.address(), engine.pool.status()),
            Engine::Sqlite(engine) => (engine.address(), engine.pool.status()),
        };
        status.insert("address".to_owned(), address.into());
        status
    }
}

impl Engine {
    async fn run(&self, query: Query, deadline: Instant) -> Result<RowSet, OutgoingError> {
        match self {
            Self::Postgres(engine) => engine.run(query, deadline).await,
            Self::Sqlite(engine) => engine.run(query, deadline).await,
        }
    }

    fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Sqlite(_) => Dialect::Sqlite,
        }
    }
}

impl Query {
    fn new(text: &str, mut params: Map<String, Value>, dialect: Dialect) -> Result<Self, OutgoingError> {
        if text.trim().is_empty() {
            return Err(OutgoingError::Invalid("the query is empty".to_owned()));
        }
        let word = first_word(text, dialect);
        if TRANSACTION_WORDS.contains(&word.as_str()) || (dialect == Dialect::Postgres && word == "set") {
            return Err(OutgoingError::Invalid(format!(
                "{} is of no use here: each call is a transaction of its own, on any connection of the pool",
                word.to_uppercase()
            )));
        }
        let statement = number(text, dialect);
        let take = |name: &String| {
            params.remove(name).ok_or_else(|| {
                OutgoingError::Invalid(format!(
                    "the query has the parameter ':{name}', but 'params' has no '{name}'"
                ))
            })
        };
        let values = statement.names.iter().map(take).collect::<Result<_, _>>()?;
        Ok(Self { statement, values })
    }
}

impl ResultLimits {
    /// The limits of a connection.
    pub(super) fn of(config: &SqlOutgoing) -> Self {
        Self {
            rows_max: config.rows_max,
            bytes_max: config.result_limit_bytes,
        }
    }

    /// Refuses a result that has grown beyond the limits.
    pub(super) fn check(self, rows: usize, bytes: u64) -> Result<(), OutgoingError> {
        if rows > self.rows_max as usize {
            let max = self.rows_max;
            return Err(OutgoingError::Failed(format!(
                "the result has more than {max} rows (rows_max); ask for fewer, for example with LIMIT"
            )));
        }
        if bytes > self.bytes_max {
            let max = self.bytes_max;
            return Err(OutgoingError::Failed(format!(
                "the result is larger than {max} bytes (result_limit_bytes); ask for less"
            )));
        }
        Ok(())
    }
}

/// What a caller wants to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    /// The one row as an object, or null if there is none.
    One,
    /// All rows, as a list of objects.
    All,
    /// How many rows were changed, and the rows that the statement returns, if it is one that returns rows.
    Execute,
}

impl Operation {
    fn of(text: &str) -> Result<Self, OutgoingError> {
        match text {
            "one" => Ok(Self::One),
            "all" => Ok(Self::All),
            "execute" => Ok(Self::Execute),
            other => Err(OutgoingError::Invalid(format!(
                "'{other}' is no operation of an SQL connection; there are one, all, execute and ping"
            ))),
        }
    }

    fn shape(self, set: RowSet) -> Result<Value, OutgoingError> {
        let RowSet {
            columns,
            rows,
            rows_affected,
        } = set;
        let count = rows.len();
        let mut rows = rows.into_iter().map(|row| {
            let row: Map<String, Value> = columns.iter().cloned().zip(row).collect();
            Value::Object(row)
        });
        match self {
            Self::One if count > 1 => Err(OutgoingError::Failed(format!(
                "'one' expects at most one row, but the query gave {count}; use 'all', or LIMIT 1"
            ))),
            Self::One => Ok(rows.next().unwrap_or(Value::Null)),
            Self::All => Ok(rows.collect()),
            Self::Execute if columns.is_empty() => Ok(json!({"rows_affected": rows_affected})),
            Self::Execute => Ok(json!({"rows_affected": rows_affected, "rows": rows.collect::<Value>()})),
        }
    }
}
