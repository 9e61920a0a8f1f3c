//! Write services for Tenon in Rust.
//!
//! A service is an async function: what it takes is read by serde, what it returns is written by serde, and its error is an
//! answer or a failure. A program names its services in `main`; `tenon deploy target/release/NAME` has every server of the cluster
//! run it.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use tenon_sdk::{Context, Error, Worker};
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct GetUser {
//!     name: String,
//! }
//!
//! #[derive(Serialize, JsonSchema)]
//! struct User {
//!     name: String,
//!     city: String,
//! }
//!
//! async fn get_user(ctx: Context, input: GetUser) -> Result<User, Error> {
//!     tracing::info!("looking for {}", input.name);
//!     let city = ctx.rest("CRM").get().param("name", &input.name).await?.success()?.text();
//!     Ok(User { name: input.name, city })
//! }
//!
//! fn main() -> ExitCode {
//!     Worker::new().service("crm.get-user", get_user).run()
//! }
//! ```
//!
//! Where to look:
//! - [`Worker`]: the program. [`Service`]: documentation, timeouts, handlers per HTTP method, handlers that block.
//! - [`Input`] and [`Output`]: what handlers take and answer; [`Raw`], [`Text`], [`Response`], [`Body`], [`BodyStream`].
//! - [`Error`]: answers with a status, and failures.
//! - [`Context`]: facts of the call, other services, outgoing connections, cache, locks, jobs, configuration, metrics.
//! - [`testing`]: services in tests, without a cluster.

// The page's code is tested with the rest.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/rust-services.md")]
mod page {}

mod background;
mod cache;
mod call;
mod config;
mod context;
mod crypto;
mod error;
mod facts;
#[cfg(test)]
mod golden;
mod host;
mod host_error;
mod input;
mod invoke;
mod link;
mod locks;
mod logs;
mod merge;
mod metrics;
mod panics;
mod process;
mod reply;
mod rest;
mod schedule;
mod schema;
mod service;
mod session;
mod sql;
mod stream;
mod strict;
pub mod testing;
mod worker;
mod wrong;

use std::time::Duration;

pub use background::{Background, FanOut};
pub use bytes::Bytes;
pub use cache::{Cache, Keys};
pub use config::Configuration;
pub use context::Context;
pub use crypto::Crypto;
pub use error::{Error, FieldError, Problem};
pub use facts::{Caller, Channel, Http, Values};
pub use host_error::HostError;
pub use input::{Input, Raw, Text};
pub use invoke::{Answer, Invoke};
pub use locks::{Lock, LockGuard};
pub use logs::LogLayer;
pub use metrics::{Labels, Metrics, Timer};
pub use reply::{Body, Output, Response};
pub use rest::{Rest, RestRequest, RestResponse};
pub use schedule::Schedule;
pub use service::{Handler, Service};
pub use sql::Sql;
pub use stream::{BodyStream, BodyWriter};
pub use worker::Worker;

/// Whole milliseconds of a duration, rounded up.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
