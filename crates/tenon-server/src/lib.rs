//! The server: channels, the invoke path, services and their workers, outgoing connections, security, control API.
//!
//! Read `invoke.rs` first: it is the one way from "somebody calls a service" to "here is the answer". This crate can't name a
//! technology: channels and outgoing connections come as the traits of `tenon-connectors`.

mod aside;
mod background;
mod body;
mod call;
mod channels;
mod control;
pub mod deployments;
mod host;
mod invoke;
mod jobs;
mod manifests_folder;
mod membership;
mod metrics;
mod object_writer;
mod objects;
pub mod rate_limits;
mod secrets;
pub mod security;
mod server;
mod server_parts;
mod service_metrics;
pub mod services;
mod settings;
mod snapshot;
mod user_config;
pub mod workers;

pub use background::BackgroundKind;
pub use body::{BodyError, BodyPieces, BodyStream};
pub use call::{
    CallSource, CallerIdentity, HostCall, HostCalls, HostReturn, HttpFacts, ServiceAnswer, ServiceCall, ServiceError,
};
pub use channels::OpenApiSettings;
pub use membership::{Presence, is_set_aside};
pub use server::run_server;
pub use server_parts::{ServerError, ServerParts, ServerSettings};
pub use settings::{BackgroundSettings, DataSettings, HostSettings, InvokeSettings};

/// The kinds of objects that live here: security definitions and rate limits.
pub fn kinds() -> Vec<tenon_model::Kind> {
    [security::kinds(), rate_limits::kinds()].concat()
}
