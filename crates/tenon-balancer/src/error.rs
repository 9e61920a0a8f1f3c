//! What can keep the load balancer from running.

use std::path::PathBuf;

/// An error of the load balancer as a whole; requests get answers instead.
#[derive(Debug, thiserror::Error)]
pub enum BalancerError {
    /// A text of the setting `trusted` is no address and no network.
    #[error("the load balancer's setting 'trusted': {0}")]
    Trusted(#[source] tenon_model::InvalidNetwork),
    /// There is nothing to listen on.
    #[error("the load balancer was given no listening socket")]
    NoListener,
    /// A listening socket can't be used.
    #[error("a listening socket of the load balancer can't be used")]
    Listener(#[source] std::io::Error),
    /// A thread or its runtime can't be started.
    #[error("a thread of the load balancer can't be started")]
    Thread(#[source] std::io::Error),
    /// The servers known last can't be kept.
    #[error("the list of servers can't be kept in {path}")]
    Keep {
        /// Where they are kept.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}
