//! What protects the user of the dashboard from other pages: who may send changing calls, and what the page may do.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State as Shared;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use tenon_model::Problem;

use crate::{State, gateway};

/// A header that only the dashboard's own page can send: another origin's page would need leave that is never given.
const OWN_PAGE: &str = "x-tenon-dashboard";

/// Nothing but what the dashboard itself serves. Styles may be inline because the component library writes its theme's
/// variables into a style element; scripts may not.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'";

/// Refuses changing calls that a page of another origin made the browser send.
pub(crate) async fn refuse_foreign_pages(request: Request<Body>, next: Next) -> Response {
    if request.method() == Method::GET || is_own(request.headers()) {
        return next.run(request).await;
    }
    gateway::answer(&Problem::new(
        403,
        "foreign-page",
        "a changing call needs the header `X-Tenon-Dashboard: 1`, or an `Origin` that is this dashboard",
    ))
}

fn is_own(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if matches!(site, Some(b"cross-site" | b"same-site")) {
        return false;
    }
    if headers.get(OWN_PAGE).is_some_and(|value| value == "1") {
        return true;
    }
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let (Some(origin), Some(host)) = (text(header::ORIGIN), text(header::HOST)) else {
        return false;
    };
    origin
        .split_once("://")
        .is_some_and(|(_, origin_host)| origin_host.eq_ignore_ascii_case(host))
}

/// Tells the browser what the page may do, and that API answers are not to be kept.
pub(crate) async fn add_security_headers(Shared(state): Shared<Arc<State>>, mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    if state.settings.behind_tls {
        let a_year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, a_year);
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}
