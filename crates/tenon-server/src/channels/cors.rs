//! What browsers are told about pages of other origins.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, ORIGIN, VARY,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use tenon_connectors::{Cors, HttpRoute};
use tenon_model::Problem;

use super::reply::{self, Reply};
use super::reply_body::ReplyBody;
use super::router::{Found, Router};

/// The origin of the page that calls, if the channel has rules for it.
pub(super) fn page_of(route: &HttpRoute, headers: &HeaderMap) -> Option<HeaderValue> {
    route.cors.as_ref()?;
    headers.get(ORIGIN).cloned()
}

/// Tells the browser whether the page may read the answer.
pub(super) fn mark(headers: &mut HeaderMap, rules: &Cors, page: Option<&HeaderValue>) {
    if !is_open(rules) {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
    let Some(page) = page.filter(|page| allows(rules, page)) else {
        return;
    };
    allow(headers, rules, page);
    if let Some(names) = list(rules.expose_headers.iter().map(String::as_str)) {
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, names);
    }
}

/// The answer to a browser that asks whether a page may call; none if this is no such question, or the channel that would take
/// the call has no rules.
pub(super) fn preflight<B>(router: &Router, request: &Request<B>) -> Option<Reply> {
    let headers = request.headers();
    let page = headers.get(ORIGIN)?;
    let method: Method = headers
        .get(ACCESS_CONTROL_REQUEST_METHOD)?
        .to_str()
        .ok()?
        .parse()
        .ok()?;
    let Found::Route(route, _) = router.find(request.uri().path(), &method, &HeaderMap::new()) else {
        return None;
    };
    let rules = route.http.cors.as_ref()?;
    let asked = headers.get(ACCESS_CONTROL_REQUEST_HEADERS);
    let is_allowed = allows(rules, page)
        && (rules.methods.is_empty() || rules.methods.contains(&method))
        && asked.is_none_or(|asked| allows_headers(rules, asked));
    if !is_allowed {
        let detail = "pages of this origin may not call this channel in this way";
        return Some(reply::problem_reply(Problem::new(403, "origin-refused", detail)));
    }
    let mut response = Response::new(ReplyBody::from(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.append(
        VARY,
        HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
    );
    allow(headers, rules, page);
    let methods =
        list(rules.methods.iter().map(Method::as_str)).or_else(|| HeaderValue::from_str(method.as_str()).ok());
    headers.extend(methods.map(|methods| (ACCESS_CONTROL_ALLOW_METHODS, methods)));
    let names = if rules.headers.iter().any(|name| name == "*") {
        // A star would not stand for 'Authorization', and for nothing at all with credentials.
        asked.cloned()
    } else {
        list(rules.headers.iter().map(String::as_str))
    };
    headers.extend(names.map(|names| (ACCESS_CONTROL_ALLOW_HEADERS, names)));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(rules.max_age.as_secs()));
    Some(response)
}

fn allow(headers: &mut HeaderMap, rules: &Cors, page: &HeaderValue) {
    let origin = if is_open(rules) {
        HeaderValue::from_static("*")
    } else {
        page.clone()
    };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    if rules.credentials {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}

/// Whether every page gets the same answer.
fn is_open(rules: &Cors) -> bool {
    !rules.credentials && rules.origins.iter().any(|origin| origin == "*")
}

fn allows(rules: &Cors, page: &HeaderValue) -> bool {
    let Ok(page) = page.to_str() else { return false };
    rules.origins.iter().any(|origin| is_origin(origin, page))
}

/// Whether a page's origin is the allowed one, or one of its subdomains where that is what is allowed.
fn is_origin(allowed: &str, page: &str) -> bool {
    if allowed == "*" || allowed.eq_ignore_ascii_case(page) {
        return true;
    }
    let Some((scheme, domain)) = allowed.split_once("://*.") else {
        return false;
    };
    let Some((page_scheme, host)) = page.split_once("://") else {
        return false;
    };
    let host = host.to_ascii_lowercase();
    let below = host.strip_suffix(&domain.to_ascii_lowercase());
    let below = below.and_then(|below| below.strip_suffix('.'));
    scheme.eq_ignore_ascii_case(page_scheme)
        && below.is_some_and(|below| {
            !below.is_empty()
                && below
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        })
}

fn allows_headers(rules: &Cors, asked: &HeaderValue) -> bool {
    let asked = asked.to_str().unwrap_or_default();
    let mut names = asked.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.all(|name| {
        rules
            .headers
            .iter()
            .any(|known| known == "*" || known.eq_ignore_ascii_case(name))
    })
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> Option<HeaderValue> {
    let names: Vec<&str> = names.collect();
    if names.is_empty() {
        return None;
    }
    HeaderValue::from_str(&names.join(", ")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_exact_or_subdomains() {
        for (allowed, page, fits) in [
            ("*", "https://a.example", true),
            ("https://a.example", "https://a.example", true),
            ("https://A.example", "https://a.example", true),
            ("https://a.example", "http://a.example", false),
            ("https://a.example", "https://a.example:8443", false),
            ("https://a.example", "https://a.example.evil", false),
            ("https://*.example.com", "https://a.example.com", true),
            ("https://*.example.com", "https://a.b.example.com", true),
            ("https://*.example.com", "https://example.com", false),
            ("https://*.example.com", "https://evilexample.com", false),
            ("https://*.example.com", "https://evil.com/.example.com", false),
            ("https://*.example.com:8443", "https://a.example.com:8443", true),
            ("https://*.example.com:8443", "https://a.example.com", false),
            ("null", "null", true),
            ("https://a.example", "null", false),
        ] {
            assert_eq!(is_origin(allowed, page), fits, "{allowed} {page}");
        }
    }
}
