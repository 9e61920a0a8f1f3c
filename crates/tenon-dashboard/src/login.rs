//! Logging in and out. A server checks the password and keeps the session; here is only the cookie with its token.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State as Shared;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use tenon_model::{Problem, Timestamp};
use tenon_protocol::control::{Endpoint, LogIn, LogOut, Session};

use crate::{ClientAddress, Settings, State, gateway};

const COOKIE: &str = "tenon_session";
/// A user's name and a password; nobody's are longer.
const BODY_BYTES_MAX: usize = 8 << 10;

/// `POST /api/login`: a user's name and password for a cookie.
pub(crate) async fn log_in(Shared(state): Shared<Arc<State>>, request: Request<Body>) -> Response {
    match try_log_in(&state, request).await {
        Ok(response) => response,
        Err(problem) => too_many(&problem),
    }
}

async fn try_log_in(state: &State, request: Request<Body>) -> Result<Response, Problem> {
    let address = request.extensions().get::<ClientAddress>();
    let address = address.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |address| address.0);
    let body = gateway::collect(state, request.into_body(), BODY_BYTES_MAX).await?;
    // Counted before the password is checked, so that guesses sent at once count too.
    if !state.attempts.begin(address, state.clock.now()) {
        let detail = "too many logins failed from this address; wait a minute and try again";
        return Err(state.problem(429, "too-many-logins", detail));
    }
    let Ok(_turn) = state.logins.acquire().await else {
        return Err(state.problem(503, "stopping", "the dashboard stops"));
    };
    let outgoing = Request::post(LogIn::PATH)
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)
        .expect("the path and the header are well-formed");
    let answered = gateway::send(state, outgoing).await;
    if !matches!(&answered, Ok(response) if response.status() == StatusCode::UNAUTHORIZED) {
        state.attempts.forgive(address);
    }
    let (parts, body) = answered?.into_parts();
    if !parts.status.is_success() {
        let content_type = [(header::CONTENT_TYPE, Problem::CONTENT_TYPE)];
        return Ok((parts.status, content_type, body).into_response());
    }
    let unreadable = || {
        state.problem(
            502,
            "unexpected-answer",
            "the server's answer to the login can't be read",
        )
    };
    let mut session: Session = serde_json::from_slice(&body).map_err(|_| unreadable())?;
    let token = session.token.take().ok_or_else(unreadable)?;
    let cookie = cookie(state, token.reveal(), None).ok_or_else(unreadable)?;
    Ok(([(header::SET_COOKIE, cookie)], axum::Json(session)).into_response())
}

fn too_many(problem: &Problem) -> Response {
    let mut response = gateway::answer(problem);
    if problem.status == 429 {
        let minute = HeaderValue::from_static("60");
        response.headers_mut().insert(header::RETRY_AFTER, minute);
    }
    response
}

/// `POST /api/logout`: ends the session at a server and takes the cookie away, the latter in any case.
pub(crate) async fn log_out(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> Response {
    if let Some(token) = token_of(&headers) {
        let outgoing = Request::delete(LogOut::PATH)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Bytes::new());
        if let Ok(outgoing) = outgoing
            && let Err(problem) = gateway::send(&state, outgoing).await
        {
            tracing::warn!(
                cid = problem.cid,
                "a session was not ended, it ends by itself: {problem}"
            );
        }
    }
    let gone = cookie(&state, "", Some(0));
    let mut response = axum::Json(serde_json::json!({})).into_response();
    if let Some(gone) = gone {
        response.headers_mut().insert(header::SET_COOKIE, gone);
    }
    response
}

/// The cookie that holds the token; none if the token is nothing that a cookie can hold.
fn cookie(state: &State, token: &str, max_age: Option<u32>) -> Option<HeaderValue> {
    if !token
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte))
    {
        return None;
    }
    let secure = if state.settings.behind_tls { "; Secure" } else { "" };
    let max_age = max_age.map_or_else(String::new, |seconds| format!("; Max-Age={seconds}"));
    let text = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict{secure}{max_age}");
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The session's token, from the cookie.
pub(crate) fn token_of(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, value)| *name == COOKIE && !value.is_empty())
        .map(|(_, token)| token)
}

/// Failed logins by address, so that passwords can't be guessed at speed. Bounded: an attacker can't fill the memory.
#[derive(Debug)]
pub(crate) struct Attempts {
    failures_max: u32,
    window: Duration,
    addresses_max: usize,
    counts: Mutex<HashMap<IpAddr, Count>>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    since: Timestamp,
    failures: u32,
}

impl Attempts {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            failures_max: settings.login_failures_max,
            window: settings.login_window.0,
            addresses_max: settings.login_addresses_max.max(1),
            counts: Mutex::default(),
        }
    }

    /// Counts a login as failed until it is forgiven; false if there were too many.
    fn begin(&self, address: IpAddr, now: Timestamp) -> bool {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let address = group_of(address);
        if !counts.contains_key(&address) && counts.len() >= self.addresses_max {
            counts.retain(|_, count| now.since(count.since) < self.window);
            let oldest = counts.iter().min_by_key(|(_, count)| count.since);
            if let Some(oldest) = oldest.map(|(address, _)| *address)
                && counts.len() >= self.addresses_max
            {
                counts.remove(&oldest);
            }
        }
        let count = counts.entry(address).or_insert(Count {
            since: now,
            failures: 0,
        });
        if now.since(count.since) >= self.window {
            *count = Count {
                since: now,
                failures: 0,
            };
        }
        if count.failures >= self.failures_max {
            return false;
        }
        count.failures += 1;
        true
    }

    /// The login did not fail for its password after all.
    fn forgive(&self, address: IpAddr) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&group_of(address)) {
            count.failures = count.failures.saturating_sub(1);
        }
    }
}

/// Who has one IPv6 address has the 2^64 of its network too.
fn group_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn failures_are_counted_by_address_forgotten_after_the_window_and_bounded_in_number() {
        let settings = Settings {
            login_failures_max: 2,
            login_addresses_max: 3,
            ..Settings::default()
        };
        let attempts = Attempts::new(&settings);
        let address = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        assert!(attempts.begin(address(1), at(0)));
        attempts.forgive(address(1));
        assert!(attempts.begin(address(1), at(1)));
        assert!(attempts.begin(address(1), at(2)));
        assert!(!attempts.begin(address(1), at(3)), "the third failure is one too many");
        assert!(attempts.begin(address(2), at(3)), "another address is not meant");
        assert!(attempts.begin(address(1), at(60)), "the window has passed");
        for last in 3..100 {
            attempts.begin(address(last), at(61));
        }
        assert!(attempts.counts.lock().unwrap().len() <= 3);
    }

    #[test]
    fn the_token_is_found_among_other_cookies() {
        let mut headers = HeaderMap::new();
        headers.append(
            header::COOKIE,
            HeaderValue::from_static("a=1; tenon_session=abc.DEF-1; b=2"),
        );
        assert_eq!(token_of(&headers), Some("abc.DEF-1"));
        headers.clear();
        headers.append(header::COOKIE, HeaderValue::from_static("tenon_session="));
        assert_eq!(token_of(&headers), None);
    }
}
