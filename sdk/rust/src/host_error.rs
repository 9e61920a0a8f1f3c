//! How asking the platform for something fails.

use crate::error::Problem;

/// The platform, or what it was to reach, did not do what a service asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// An invoked service answered with a status of 400 or above.
    #[error("the service answered: {0}")]
    Answered(Problem),
    /// The platform could not do it: no service or connection has this name, the other side is down, a limit is reached.
    #[error("{message}")]
    Refused {
        /// A status as HTTP has them.
        status: u16,
        /// The sort of failure, such as `NotFound` or `ServiceUnavailable`.
        kind: String,
        /// What happened.
        message: String,
    },
    /// The time that was given, or the caller's own, was up.
    #[error("{0}")]
    TimedOut(String),
    /// The caller has gone, and so have the reasons to ask for anything.
    #[error("nobody waits for this call any more")]
    Cancelled,
    /// What was to be sent can't be written as JSON.
    #[error("{what} can't be written as JSON")]
    Encode {
        /// What was to be sent.
        what: String,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// The answer is not of the type that was asked for.
    #[error("{what} is not of the type {expected}")]
    Decode {
        /// What was answered.
        what: String,
        /// The type that was asked for.
        expected: String,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// The connection to the server is gone; this process is about to end.
    #[error("the connection to the server is gone")]
    Disconnected,
}

impl HostError {
    /// A status as HTTP has them: that of the answer, or the one that comes closest.
    pub fn status(&self) -> u16 {
        match self {
            HostError::Answered(problem) => problem.status,
            HostError::Refused { status, .. } => *status,
            HostError::TimedOut(_) => 504,
            HostError::Cancelled => 499,
            HostError::Encode { .. } | HostError::Decode { .. } => 500,
            HostError::Disconnected => 503,
        }
    }

    /// Whether what was asked for does not exist: a service, a connection, a record of an invoked service.
    pub fn is_not_found(&self) -> bool {
        self.status() == 404
    }
}
