//! What stands before a channel: first its rate limits, then its guard, then the rate limits of whoever it let in.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use tenon_model::Problem;

use super::guard::Guard;
use crate::call::CallerIdentity;

/// A request, as far as it matters for whether it is let in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visitor<'a> {
    /// Its headers.
    pub(crate) headers: &'a HeaderMap,
    /// Its query string as it came, without the `?`.
    pub(crate) query: Option<&'a str>,
    /// The client's address.
    pub(crate) remote: &'a str,
    /// Whether what its headers say of the client's certificate is believed: it came from the load balancer, or from a listed
    /// address.
    pub(crate) is_trusted: bool,
}

/// A request that is let in.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    /// Who it is; none if the channel is open.
    pub(crate) caller: Option<Arc<CallerIdentity>>,
    /// Headers that its answer gets, whatever the service answers.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

/// Why a request is not let in, as its answer says it.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The answer's status and body, still without a correlation id.
    pub(crate) problem: Problem,
    /// The answer's headers, challenges among them.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

/// What stands before one channel.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    guard: Guard,
}

impl Gate {
    /// A gate with this guard.
    pub(crate) fn new(guard: Guard) -> Self {
        Self { guard }
    }

    /// Lets everybody in.
    #[cfg(test)]
    pub(crate) fn open() -> Self {
        Self::new(Guard::open())
    }

    /// Lets a request in, or says why not.
    #[expect(clippy::unused_async, reason = "keys of tokens and shares of limits are fetched")]
    pub(crate) async fn admit(&self, visitor: &Visitor<'_>) -> Result<Admission, Box<Refusal>> {
        match self.guard.check(visitor.headers) {
            Ok(None) => Ok(Admission::default()),
            Ok(Some(name)) => Ok(Admission {
                caller: Some(Arc::new(CallerIdentity {
                    name: name.to_owned(),
                    ..CallerIdentity::default()
                })),
                headers: Vec::new(),
            }),
            Err(refusal) => Err(Box::new(Refusal {
                problem: Problem::new(401, "unauthorized", "the credentials are missing or wrong"),
                headers: refusal
                    .challenge
                    .and_then(|challenge| HeaderValue::from_str(&challenge).ok())
                    .map(|challenge| (WWW_AUTHENTICATE, challenge))
                    .into_iter()
                    .collect(),
            })),
        }
    }
}
