//! Rate limits: how many requests may come, from where and when, over all servers of the cluster.
//!
//! The kind `rate-limit` (`config.rs`) is a list of rules (`rules.rs`). A channel, a security definition or a security group
//! that names one gets a [`Limiter`], whose counters are its own. What is left of a limit is known to the store; a server takes
//! its share in batches and hands it out itself (`allotment.rs`), so that few requests wait for the store. While the store
//! can't be reached, each server goes by its part of the limit (`meters.rs`).

mod allotment;
mod config;
mod headers;
mod limiter;
mod meters;
mod rules;
#[cfg(test)]
mod tests;

pub use config::RateLimitConfig;
pub(crate) use headers::headers_of;
pub(crate) use limiter::{Level, Limiter, Limits, Verdict};
#[cfg(test)]
pub(crate) use meters::QuotaSource;
pub(crate) use meters::{Meters, follow_servers};

/// The kind `rate-limit`.
pub fn kinds() -> Vec<tenon_model::Kind> {
    vec![tenon_model::Kind::of::<RateLimitConfig>()]
}
