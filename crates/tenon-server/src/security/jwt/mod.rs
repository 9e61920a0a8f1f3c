//! The kind `jwt`: signed tokens (RFC 7519) that somebody else issues and this server checks.
//!
//! `token.rs` takes a token apart, `keys.rs` checks signatures, `key_set.rs` keeps an issuer's keys, `verifier.rs` puts them
//! together. Signatures are checked by `ring`; nothing here makes tokens.

mod config;
mod der;
mod key_set;
mod keys;
#[cfg(test)]
mod tests;
mod token;
mod verifier;

pub use config::JwtConfig;
pub(super) use key_set::KeySets;
pub(super) use token::Token;
pub(super) use verifier::{Denied, JwtVerifier};
