//! Outgoing SQL connections.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::HostError;
use crate::context::{Context, Payload};
use crate::link::HostAnswer;
use crate::rest::OutgoingRequest;
use crate::wrong::kind;

impl Context {
    /// An outgoing SQL connection by its name. The pool of connections and the credentials are the server's.
    ///
    /// ```
    /// # use tenon_sdk::{Context, Error};
    /// # use serde::Deserialize;
    /// # use serde_json::json;
    /// #[derive(Deserialize)]
    /// struct Account {
    ///     id: i64,
    ///     balance: f64,
    /// }
    /// async fn balance(ctx: Context, name: String) -> Result<f64, Error> {
    ///     let account: Option<Account> = ctx
    ///         .sql("Billing")
    ///         .one("SELECT id, balance FROM accounts WHERE user_name = :name", &json!({"name": name}))
    ///         .await?;
    ///     Ok(account.ok_or_else(|| Error::not_found("there is no such account"))?.balance)
    /// }
    /// ```
    pub fn sql(&self, name: impl Into<String>) -> Sql {
        Sql {
            context: self.clone(),
            name: name.into(),
        }
    }
}

/// The kind of these connections.
const KIND: &str = "sql-outgoing";

/// An outgoing SQL connection. Made by [`Context::sql`].
///
/// Parameters are an object (`json!({…})`, a struct, a map) whose members stand for `:name` in the query; `&()` is none. Rows are
/// read by serde: a struct by the names of the columns.
#[derive(Debug, Clone)]
pub struct Sql {
    context: Context,
    name: String,
}

impl Sql {
    /// The first row; none if there is no row.
    pub async fn one<T: DeserializeOwned>(&self, query: &str, params: &impl Serialize) -> Result<Option<T>, HostError> {
        self.run("one", query, params).await?.result()
    }

    /// All rows.
    pub async fn all<T: DeserializeOwned>(&self, query: &str, params: &impl Serialize) -> Result<Vec<T>, HostError> {
        self.run("all", query, params).await?.result()
    }

    /// Runs a statement and gives the number of rows that it changed; for one that gives rows, how many they are.
    pub async fn execute(&self, statement: &str, params: &impl Serialize) -> Result<u64, HostError> {
        let result: Value = self.run("execute", statement, params).await?.result()?;
        Ok(match result {
            Value::Array(rows) => rows.len() as u64,
            other => other.as_u64().unwrap_or(0),
        })
    }

    /// Asks whether the database is there.
    pub async fn ping(&self) -> Result<(), HostError> {
        let request = OutgoingRequest::new(KIND, &self.name, "ping", Value::Object(Map::new()));
        self.context.ask(&request, Payload::none()).await.map(drop)
    }

    async fn run(
        &self,
        operation: &'static str,
        query: &str,
        params: &impl Serialize,
    ) -> Result<HostAnswer, HostError> {
        let what = || format!("the parameters for {}", self.name);
        let params = serde_json::to_value(params).map_err(|source| HostError::Encode { what: what(), source })?;
        let params = match params {
            Value::Null => Value::Object(Map::new()),
            Value::Object(params) => Value::Object(params),
            other => {
                let source =
                    serde::ser::Error::custom(format!("parameters are an object, not of the type {}", kind(&other)));
                return Err(HostError::Encode { what: what(), source });
            }
        };
        let arguments = json!({"query": query, "params": params});
        let request = OutgoingRequest::new(KIND, &self.name, operation, arguments);
        self.context.ask(&request, Payload::none()).await
    }
}
