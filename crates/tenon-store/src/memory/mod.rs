//! What is best effort and needs no disk: the cache and quotas. In the memory of the process that has the data, so that all
//! servers of a cluster see the same; lost when it restarts.

mod cache;
mod quotas;

pub(crate) use self::cache::Cache;
pub use self::quotas::Quotas;
