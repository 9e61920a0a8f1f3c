//! What clients are told of limits: `RateLimit-Policy` and `RateLimit`, as the tenth revision of the draft
//! draft-ietf-httpapi-ratelimit-headers has them, and `Retry-After`.

use std::fmt::Write as _;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue, RETRY_AFTER};

use super::limiter::Level;

static POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
static LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The headers for these limits; none if there are none.
pub(crate) fn headers_of(levels: &[Level], retry_after: Option<Duration>) -> Vec<(HeaderName, HeaderValue)> {
    let (mut policy, mut limit) = (String::new(), String::new());
    for level in levels {
        let separator = if policy.is_empty() { "" } else { ", " };
        let (name, reset) = (&level.name, seconds(level.reset));
        // Writing to a string can't fail.
        let _ = write!(
            policy,
            "{separator}\"{name}\";q={};w={}",
            level.quota, level.window_seconds
        );
        let _ = write!(
            limit,
            "{separator}\"{name}\";r={};t={reset}",
            level.remaining.min(level.quota)
        );
    }
    let mut headers = Vec::new();
    if !levels.is_empty() {
        for (name, text) in [(&POLICY, policy), (&LIMIT, limit)] {
            // Names are ASCII, as is all that is written here.
            headers.extend(HeaderValue::from_str(&text).ok().map(|value| (name.clone(), value)));
        }
    }
    if let Some(after) = retry_after {
        headers.push((RETRY_AFTER, HeaderValue::from(seconds(after).max(1))));
    }
    headers
}

/// Whole seconds, rounded up.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
