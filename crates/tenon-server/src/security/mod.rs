//! Who may call: definitions that channels refer to, users and sessions of the control API, secrets at rest.
//!
//! `definitions.rs` lists the kinds; `gates.rs` makes of them and of rate limits what stands before each channel (`gate.rs`).

mod api_key;
mod basic_auth;
mod callers;
mod definitions;
mod gate;
mod gates;
mod group;
mod guard;
mod jwt;
mod mutual_tls;
mod scheme;
mod sealer;
#[cfg(test)]
mod tests;
mod users;

pub use api_key::ApiKeyConfig;
pub use basic_auth::BasicAuthConfig;
pub(crate) use definitions::Definition;
pub use definitions::kinds;
pub(crate) use gate::{Admission, Gate, Refusal, Visitor};
pub(crate) use gates::Gates;
pub use group::SecurityGroupConfig;
pub use jwt::JwtConfig;
pub use mutual_tls::MutualTlsConfig;
pub(crate) use scheme::Scheme;
pub use sealer::{ClusterKey, ClusterKeyError};
pub use users::{SignInError, Users};
