//! The server: channels, the invoke path, services and their workers, outgoing connections, security, control API.
//!
//! Read `invoke.rs` first: it is the one way from "somebody calls a service" to "here is the answer". This crate can't name a
//! technology: channels and outgoing connections come as the traits of `tenon-connectors`.

mod call;
pub mod deployments;
pub mod services;
pub mod workers;

pub use call::{CallSource, HostCall, HostCalls, HostReturn, HttpFacts, ServiceAnswer, ServiceCall, ServiceError};
