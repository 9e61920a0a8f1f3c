//! What stands before a channel: first its rate limit, then its guard, then the rate limits of whoever it let in.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use tenon_model::Problem;

use super::guard::{Guard, Stop};
use crate::call::CallerIdentity;
use crate::rate_limits::{Level, Limiter, Verdict, headers_of};

/// When to try again while an issuer's keys can't be had.
const NO_KEYS_RETRY_SECONDS: u64 = 5;

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
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate {
    guard: Guard,
    limiter: Option<Arc<Limiter>>,
}

impl Gate {
    /// A gate with this guard and the channel's own limit.
    pub(super) fn new(guard: Guard, limiter: Option<Arc<Limiter>>) -> Self {
        Self { guard, limiter }
    }

    /// Lets everybody in.
    #[cfg(test)]
    pub(crate) fn open() -> Self {
        Self::default()
    }

    /// Lets a request in, or says why not.
    pub(crate) async fn admit(&self, visitor: &Visitor<'_>) -> Result<Admission, Box<Refusal>> {
        if self.limiter.is_none() && self.guard.is_open() {
            return Ok(Admission::default());
        }
        // What most requests don't need is not to take room in the state of all of them.
        Box::pin(self.check(visitor)).await
    }

    async fn check(&self, visitor: &Visitor<'_>) -> Result<Admission, Box<Refusal>> {
        let mut count = Count {
            visitor,
            levels: Vec::new(),
        };
        let waits_for_caller = self.limiter.as_ref().is_some_and(|limiter| limiter.needs_caller());
        if let Some(limiter) = self.limiter.as_ref().filter(|_| !waits_for_caller) {
            count.check(limiter, None).await?;
        }
        let entrance = self.guard.check(visitor).await.map_err(refusal_of)?;
        let (caller, limits) = match entrance {
            Some(entrance) => (Some(entrance.caller), Some(entrance.limits)),
            None => (None, None),
        };
        if let Some(limiter) = self.limiter.as_ref().filter(|_| waits_for_caller) {
            count.check(limiter, caller.as_deref()).await?;
        }
        for limiter in limits.as_deref().unwrap_or_default() {
            count.check(limiter, caller.as_deref()).await?;
        }
        Ok(Admission {
            caller,
            headers: headers_of(&count.levels, None),
        })
    }
}

/// The limits that a request has passed.
struct Count<'a> {
    visitor: &'a Visitor<'a>,
    levels: Vec<Level>,
}

impl Count<'_> {
    async fn check(&mut self, limiter: &Limiter, caller: Option<&CallerIdentity>) -> Result<(), Box<Refusal>> {
        let address: Option<IpAddr> = self.visitor.remote.parse().ok();
        match limiter
            .check(address.map(|address| address.to_canonical()), caller)
            .await
        {
            Verdict::Within(levels) => {
                self.levels.extend(levels);
                Ok(())
            }
            Verdict::Over(levels, retry_after) => {
                self.levels.extend(levels);
                Err(self.over(retry_after))
            }
            Verdict::Denied => Err(Box::new(Refusal {
                problem: Problem::new(
                    403,
                    "address-refused",
                    "requests from this address are not accepted now",
                ),
                headers: Vec::new(),
            })),
        }
    }

    fn over(&self, retry_after: Duration) -> Box<Refusal> {
        let detail = "the rate limit is reached; the header Retry-After says when to try again";
        Box::new(Refusal {
            problem: Problem::new(429, "too-many-requests", detail),
            headers: headers_of(&self.levels, Some(retry_after)),
        })
    }
}

fn refusal_of(stop: Stop) -> Box<Refusal> {
    let challenges = |values: Vec<HeaderValue>| values.into_iter().map(|value| (WWW_AUTHENTICATE, value)).collect();
    Box::new(match stop {
        Stop::Unknown(values) => Refusal {
            problem: Problem::new(401, "unauthorized", "the credentials are missing or wrong"),
            headers: challenges(values),
        },
        Stop::NotAllowed(value) => Refusal {
            problem: Problem::new(403, "forbidden", "the credentials are valid, but do not allow this"),
            headers: challenges(value.into_iter().collect()),
        },
        Stop::NoKeys => Refusal {
            problem: Problem::new(
                503,
                "keys-unavailable",
                "the token can't be checked now, because its issuer's keys can't be had",
            ),
            headers: vec![(RETRY_AFTER, HeaderValue::from(NO_KEYS_RETRY_SECONDS))],
        },
    })
}
