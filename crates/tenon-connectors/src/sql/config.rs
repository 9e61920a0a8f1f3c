//! The kind of SQL connections as users see it.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenon_model::{DurationText, FieldProblem, KindConfig, KindGroup, Secret};

/// A connection to an SQL database.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlOutgoing {
    /// Whether services may use it.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The database: `postgresql://user@host:port/database`, with `?sslmode=require` for TLS, or `sqlite:/path/to/file`.
    pub url: String,
    /// The user's password.
    pub password: Option<Secret>,
    /// How long a call may take in all: waiting for a connection, connecting and the statement.
    #[serde(default = "thirty_seconds")]
    pub timeout: DurationText,
    /// How long connecting may take, TLS and login included.
    #[serde(default = "five_seconds")]
    pub connect_timeout: DurationText,
    /// How long the database itself lets a statement run (PostgreSQL).
    #[serde(default = "thirty_seconds")]
    pub statement_timeout: DurationText,
    /// How many connections there may be at a time; further calls wait.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 1_000))]
    pub pool_size: u32,
    /// How long a connection that nobody uses is kept.
    #[serde(default = "five_minutes")]
    pub idle_timeout: DurationText,
    /// How many rows a call may return; a result with more is an error, never cut off.
    #[serde(default = "ten_thousand")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub rows_max: u32,
    /// How large the result of a call may be, in bytes.
    #[serde(default = "sixteen_mebibytes")]
    #[schemars(range(max = 67_108_864_u64))]
    pub result_limit_bytes: u64,
    /// Whether the server's certificate is checked when TLS is used.
    #[serde(default = "yes")]
    pub tls_verify: bool,
    /// PEM file with the certificate authorities to trust instead of the system's.
    pub ca_file: Option<String>,
}

/// The database that a URL names.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Database {
    /// A PostgreSQL server, and whether to speak TLS with it.
    Postgres(Box<tokio_postgres::Config>, bool),
    /// An SQLite file.
    Sqlite(PathBuf),
}

impl Database {
    /// Reads a URL. The error never repeats it, because it might hold a password.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.starts_with('/') || path.len() < 2 {
                return Err("the path of an SQLite file must be absolute, as in sqlite:/path/to/file".to_owned());
            }
            return Ok(Self::Sqlite(PathBuf::from(path)));
        }
        if !url.starts_with("postgresql://") && !url.starts_with("postgres://") {
            return Err("must be postgresql://user@host:port/database or sqlite:/path/to/file".to_owned());
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut is_tls = false;
        let mut kept = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", "disable")) => is_tls = false,
                Some(("sslmode", "require" | "verify-full")) => is_tls = true,
                Some(("sslmode", other)) => {
                    return Err(format!(
                        "sslmode={other} is not supported; use require (TLS, certificate checked) or disable"
                    ));
                }
                Some(("host", _)) => kept.push(pair),
                _ => {
                    let name = pair.split('=').next().unwrap_or_default();
                    return Err(format!(
                        "the parameter '{name}' is not supported; there are sslmode and host"
                    ));
                }
            }
        }
        let url = if kept.is_empty() {
            base.to_owned()
        } else {
            format!("{base}?{}", kept.join("&"))
        };
        let config: tokio_postgres::Config = url
            .parse()
            .map_err(|_| "must be postgresql://user@host:port/database".to_owned())?;
        if config.get_password().is_some() {
            return Err("a password does not belong into it; put it into 'password'".to_owned());
        }
        if config.get_user().is_none() {
            return Err("it names no user: postgresql://user@host:port/database".to_owned());
        }
        if config.get_hosts().is_empty() {
            return Err("it names no host: postgresql://user@host:port/database".to_owned());
        }
        Ok(Self::Postgres(Box::new(config), is_tls))
    }
}

impl KindConfig for SqlOutgoing {
    const NAME: &'static str = "sql-outgoing";
    const TITLE: &'static str = "Outgoing SQL connection";
    const GROUP: KindGroup = KindGroup::Outgoing;

    fn check(&self) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        let has_variable = self.url.contains("${") || self.url.starts_with("secret:");
        if !has_variable && let Err(message) = Database::parse(&self.url) {
            problems.push(FieldProblem::new("url", message));
        }
        for (field, value) in [
            ("timeout", self.timeout),
            ("connect_timeout", self.connect_timeout),
            ("statement_timeout", self.statement_timeout),
        ] {
            if value.0.is_zero() || value.0 > Duration::from_hours(24) {
                problems.push(FieldProblem::new(field, "must be more than 0s and at most 1d"));
            }
        }
        for (field, value, max) in [
            ("pool_size", self.pool_size, 1_000),
            ("rows_max", self.rows_max, 1_000_000),
        ] {
            if !(1..=max).contains(&value) {
                problems.push(FieldProblem::new(field, format!("must be 1 to {max}")));
            }
        }
        if self.result_limit_bytes > 64 * 1024 * 1024 {
            problems.push(FieldProblem::new("result_limit_bytes", "at most 67108864 (64 MiB)"));
        }
        problems
    }
}

fn yes() -> bool {
    true
}

fn ten() -> u32 {
    10
}

fn ten_thousand() -> u32 {
    10_000
}

fn sixteen_mebibytes() -> u64 {
    16 * 1024 * 1024
}

fn five_seconds() -> DurationText {
    DurationText::from_secs(5)
}

fn thirty_seconds() -> DurationText {
    DurationText::from_secs(30)
}

fn five_minutes() -> DurationText {
    DurationText::from_secs(300)
}
