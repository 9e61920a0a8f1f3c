//! What answers of a deprecated channel say: `Deprecation` (RFC 9745), `Sunset` (RFC 8594) and a link to what comes after it.

use std::time::{Duration, UNIX_EPOCH};

use http::header::{HeaderMap, LINK};
use http::{HeaderName, HeaderValue};
use tenon_connectors::Deprecation;

static DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
static SUNSET: HeaderName = HeaderName::from_static("sunset");

/// Tells it.
pub(super) fn mark(headers: &mut HeaderMap, deprecated: &Deprecation) {
    let since = format!("@{}", deprecated.since.unwrap_or(0));
    headers.extend(
        HeaderValue::try_from(since)
            .ok()
            .map(|value| (DEPRECATION.clone(), value)),
    );
    let sunset = deprecated.sunset.and_then(http_date);
    headers.extend(sunset.map(|value| (SUNSET.clone(), value)));
    if let Some(successor) = &deprecated.successor
        && let Ok(link) = HeaderValue::try_from(format!("<{successor}>; rel=\"successor-version\""))
    {
        headers.append(LINK, link);
    }
}

fn http_date(seconds: i64) -> Option<HeaderValue> {
    let instant = UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?);
    HeaderValue::try_from(httpdate::fmt_http_date(instant)).ok()
}
