//! SQL: connections to PostgreSQL and SQLite databases.

mod config;
mod outgoing;
mod postgres;
mod sqlite;
mod statement;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::Value;
use tenon_model::{Kind, KindConfig, ObjectName};

use self::config::SqlOutgoing;
use self::outgoing::SqlConnection;
use crate::connection::Connection;
use crate::connector::{Connector, ConnectorError, Outgoing, OutgoingContext, read_body};

/// The connector of kind `sql-outgoing`.
#[derive(Debug)]
pub(crate) struct Sql;

impl Connector for Sql {
    fn kinds(&self) -> Vec<Kind> {
        vec![Kind::of::<SqlOutgoing>()]
    }

    fn outgoing(
        &self,
        kind: &str,
        _name: &ObjectName,
        body: &Value,
        context: &OutgoingContext,
    ) -> Option<Result<Arc<dyn Outgoing>, ConnectorError>> {
        (kind == SqlOutgoing::NAME).then(|| {
            let config: SqlOutgoing = read_body(body)?;
            let connection = Connection::new(config.enabled, SqlConnection::new(&config, context)?);
            Ok(Arc::new(connection) as Arc<dyn Outgoing>)
        })
    }
}
