//! What is best effort and needs no disk: the cache, quotas and reports. In the memory of the process that has the data, so that all
//! servers of a cluster see the same; lost when it restarts.

mod cache;
mod quotas;
mod reports;

pub(crate) use self::cache::Cache;
pub use self::quotas::Quotas;
pub(crate) use self::reports::Reports;
