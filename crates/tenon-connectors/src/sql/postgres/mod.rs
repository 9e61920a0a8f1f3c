//! PostgreSQL: connections, statements and what its errors mean.

mod decode;
mod encode;
mod tls;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls, Statement};
use tokio_util::task::TaskTracker;

use self::decode::Cell;
use self::encode::Param;
use self::tls::MakeTls;
use super::config::SqlOutgoing;
use super::outgoing::{Query, ResultLimits, RowSet};
use crate::connector::{ConnectorError, OutgoingContext, OutgoingError};
use crate::pool::{Pool, Slot};
use crate::tls::client_config;

/// A connection that was idle for longer is asked whether it lives before it is used.
const CHECK_AFTER: Duration = Duration::from_secs(10);
/// How long such a connection may take to answer.
const CHECK_WAIT: Duration = Duration::from_secs(1);
/// How long it may take to tell the database that nobody waits for a statement any more.
const CANCEL_WAIT: Duration = Duration::from_secs(5);
/// How many prepared statements a connection keeps.
const STATEMENTS_MAX: usize = 200;

/// A PostgreSQL database with its connections.
#[derive(Debug)]
pub(in crate::sql) struct Postgres {
    config: Config,
    tls: Option<MakeTls>,
    connect_timeout: Duration,
    limits: ResultLimits,
    pub pool: Pool<Session>,
}

/// A connection with the statements that were prepared on it.
#[derive(Debug)]
pub(in crate::sql) struct Session {
    client: Client,
    statements: HashMap<String, Statement>,
}

impl Postgres {
    /// The database of a URL's settings. Nothing is connected yet.
    pub(in crate::sql) fn new(
        mut server: Config,
        is_tls: bool,
        config: &SqlOutgoing,
        context: &OutgoingContext,
    ) -> Result<Self, ConnectorError> {
        if let Some(password) = &config.password {
            server.password(password.reveal());
        }
        let statement_timeout_ms = config.statement_timeout.0.as_millis();
        server
            .application_name("tenon")
            .connect_timeout(config.connect_timeout.0)
            .ssl_mode(if is_tls { SslMode::Require } else { SslMode::Disable })
            .options(format!(
                "-c statement_timeout={statement_timeout_ms} -c timezone=UTC -c datestyle=ISO"
            ));
        let tls = if is_tls {
            let ca_file = config
                .ca_file
                .as_ref()
                .map_or_else(|| context.settings.ca_file.clone(), PathBuf::from);
            Some(MakeTls::new(client_config(&ca_file, config.tls_verify)?))
        } else {
            None
        };
        Ok(Self {
            config: server,
            tls,
            connect_timeout: config.connect_timeout.0,
            limits: ResultLimits::of(config),
            pool: Pool::new(config.pool_size, config.idle_timeout.0, |session: &Session| {
                !session.client.is_closed()
            }),
        })
    }

    /// Hosts, ports and database, for people to read.
    pub(in crate::sql) fn address(&self) -> String {
        let mut text = String::new();
        for (index, host) in self.config.get_hosts().iter().enumerate() {
            let ports = self.config.get_ports();
            let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
            let host = match host {
                Host::Tcp(name) => name.clone(),
                Host::Unix(path) => path.display().to_string(),
            };
            let separator = if index == 0 { "" } else { "," };
            write!(text, "{separator}{host}:{port}").expect("writing to a string can't fail");
        }
        let database = self.config.get_dbname().or(self.config.get_user()).unwrap_or_default();
        format!("{text}/{database}")
    }

    /// Runs a statement in a transaction of its own. At the deadline, or when the caller gives up, it is cancelled and its
    /// connection dropped.
    pub(in crate::sql) async fn run(&self, query: Query, deadline: Instant) -> Result<RowSet, OutgoingError> {
        let slot = self.pool.slot(deadline).await?;
        let session = self.session(&slot, deadline).await?;
        let mut job = Job {
            session: Some(session),
            tls: self.tls.clone(),
            tasks: self.pool.tasks.clone(),
        };
        let result = timeout_at(deadline, job.run(&query, self.limits))
            .await
            .unwrap_or_else(|_| {
                Err(OutgoingError::Timeout(
                    "the statement did not end in time and was cancelled".to_owned(),
                ))
            });
        if !matches!(result, Err(OutgoingError::Unavailable(_) | OutgoingError::Timeout(_)))
            && let Some(session) = job.session.take()
        {
            slot.give_back(session);
        }
        result
    }

    /// A connection that lives: an idle one, checked when it was idle for long, or a new one.
    async fn session(&self, slot: &Slot<Session>, deadline: Instant) -> Result<Session, OutgoingError> {
        while let Some((session, idle_for)) = slot.take_idle() {
            if idle_for < CHECK_AFTER {
                return Ok(session);
            }
            let by = deadline.min(Instant::now() + CHECK_WAIT);
            if let Ok(Ok(_)) = timeout_at(by, session.client.simple_query("")).await {
                return Ok(session);
            }
            slot.drop_idle();
        }
        let by = deadline.min(Instant::now() + self.connect_timeout);
        let client = timeout_at(by, self.connect())
            .await
            .map_err(|_| OutgoingError::Unavailable(format!("{} did not answer in time", self.address())))??;
        Ok(Session {
            client,
            statements: HashMap::new(),
        })
    }

    async fn connect(&self) -> Result<Client, OutgoingError> {
        // A connection ends when its client is dropped; what fails in it is reported to the statement that is on it.
        let result = match self.tls.clone() {
            None => self.config.connect(NoTls).await.map(|(client, connection)| {
                self.pool.tasks.spawn(async { drop(connection.await) });
                client
            }),
            Some(tls) => self.config.connect(tls).await.map(|(client, connection)| {
                self.pool.tasks.spawn(async { drop(connection.await) });
                client
            }),
        };
        result.map_err(|error| {
            let text = chain(&error);
            if error.as_db_error().is_some() {
                explain(&error)
            } else if text.contains("password missing") {
                OutgoingError::Refused("the database asks for a password, and 'password' is not set".to_owned())
            } else {
                OutgoingError::Unavailable(format!("{} can't be reached: {text}", self.address()))
            }
        })
    }
}

/// A session while a statement runs on it. Dropped before it is done, it cancels the statement.
struct Job {
    session: Option<Session>,
    tls: Option<MakeTls>,
    tasks: TaskTracker,
}

impl Job {
    async fn run(&mut self, query: &Query, limits: ResultLimits) -> Result<RowSet, OutgoingError> {
        let session = self.session.as_mut().expect("a job has its session until it is done");
        let mut result = session.execute(query, limits).await;
        if matches!(result, Err(Failure::StalePlan)) {
            // A table changed since the statement was prepared; the database refused to run it, so it did nothing.
            session.statements.clear();
            result = session.execute(query, limits).await;
        }
        match result {
            Ok(rows) => Ok(rows),
            Err(Failure::StalePlan) => Err(OutgoingError::Failed("the result's columns keep changing".to_owned())),
            Err(Failure::Unfinished(error)) => {
                self.cancel();
                Err(error)
            }
            Err(Failure::Finished(error)) => Err(error),
        }
    }

    /// Drops the connection, and tells the database that nobody waits for the statement.
    fn cancel(&mut self) {
        let Some(session) = self.session.take() else { return };
        // The process ends; the database notices that the connection is gone.
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let token = session.client.cancel_token();
        let tls = self.tls.clone();
        self.tasks.spawn(async move {
            let cancel = async {
                match tls {
                    None => token.cancel_query(NoTls).await,
                    Some(tls) => token.cancel_query(tls).await,
                }
            };
            // Best effort: `statement_timeout` ends the statement if this does not reach the database.
            let _ = tokio::time::timeout(CANCEL_WAIT, cancel).await;
            drop(session);
        });
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// How a statement failed, for the one who decides what becomes of the connection.
enum Failure {
    /// The database refused a prepared statement because its columns changed. Nothing was done.
    StalePlan,
    /// The database is done with the statement, and the connection can be used again.
    Finished(OutgoingError),
    /// The database may still work on it, or the connection is broken.
    Unfinished(OutgoingError),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) && chain(&error).contains("cached plan") {
            Self::StalePlan
        } else if error.as_db_error().is_some() {
            Self::Finished(explain(&error))
        } else {
            Self::Unfinished(explain(&error))
        }
    }
}

impl Session {
    async fn execute(&mut self, query: &Query, limits: ResultLimits) -> Result<RowSet, Failure> {
        let statement = self.prepare(&query.statement.text).await?;
        let invalid = |message: String| Failure::Finished(OutgoingError::Invalid(message));
        let types = statement.params();
        if types.len() != query.values.len() {
            return Err(invalid("parameters are written ':name', not '$1'".to_owned()));
        }
        let named = query.statement.names.iter().zip(&query.values).zip(types);
        let params = named
            .map(|((name, value), of_type)| {
                Param::new(value, of_type).map_err(|reason| invalid(format!("parameter '{name}': {reason}")))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let columns: Vec<String> = statement
            .columns()
            .iter()
            .map(|column| column.name().to_owned())
            .collect();
        let mut stream = pin!(self.client.query_raw(&statement, params).await?);
        let mut rows = Vec::new();
        let mut bytes = 0;
        while let Some(row) = stream.next().await {
            let row = row?;
            bytes += row.raw_size_bytes() as u64;
            let cells = (0..row.len()).map(|index| row.try_get::<_, Cell>(index).map(|cell| cell.0));
            rows.push(cells.collect::<Result<_, _>>()?);
            limits.check(rows.len(), bytes).map_err(Failure::Unfinished)?;
        }
        Ok(RowSet {
            columns,
            rows,
            rows_affected: stream.rows_affected().unwrap_or(0),
        })
    }

    async fn prepare(&mut self, text: &str) -> Result<Statement, Failure> {
        if let Some(statement) = self.statements.get(text) {
            return Ok(statement.clone());
        }
        let statement = self
            .client
            .prepare(text)
            .await
            .map_err(|error| match Failure::from(error) {
                // Preparing does nothing yet.
                Failure::Unfinished(OutgoingError::Timeout(message)) => {
                    Failure::Unfinished(OutgoingError::Unavailable(message))
                }
                other => other,
            })?;
        if self.statements.len() >= STATEMENTS_MAX {
            self.statements.clear();
        }
        self.statements.insert(text.to_owned(), statement.clone());
        Ok(statement)
    }
}

/// Sorts an error of the driver by what its caller can do.
fn explain(error: &tokio_postgres::Error) -> OutgoingError {
    let Some(said) = error.as_db_error() else {
        let text = chain(error);
        let is_broken =
            error.is_closed() || std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<io::Error>);
        return if is_broken {
            OutgoingError::Timeout(format!(
                "the connection broke ({text}); the statement may have been carried out"
            ))
        } else {
            OutgoingError::Failed(text)
        };
    };
    let mut text = format!("{} ({})", said.message(), said.code().code());
    if let Some(detail) = said.detail() {
        write!(text, "; {detail}").expect("writing to a string can't fail");
    }
    match said.code().code() {
        code if code.starts_with("28") => OutgoingError::Refused(text),
        // Cancelled, by its own timeout or by us.
        "57014" => OutgoingError::Timeout(text),
        // Shutting down or starting up, or no room: nothing was done, or it was rolled back.
        code if code.starts_with("57P") || code.starts_with("53") || code.starts_with("08") => {
            OutgoingError::Unavailable(text)
        }
        _ => OutgoingError::Failed(text),
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // The driver repeats causes in its own message.
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}
