//! API calls on their way from the browser to a server.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::State as Shared;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tenon_model::Problem;

use crate::servers::GatewayError;
use crate::{State, login};

/// What a server needs to know of the browser's request, besides method, path, query and body.
const REQUEST_HEADERS: [HeaderName; 3] = [header::CONTENT_TYPE, header::ACCEPT, header::IF_MATCH];
/// What the browser needs to know of the server's answer, besides status and body.
const RESPONSE_HEADERS: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::ETAG,
    header::RETRY_AFTER,
    header::ALLOW,
    header::CONTENT_DISPOSITION,
];

/// `ANY /api/v1/…`: the same call to a server, in the name of the cookie's session.
pub(crate) async fn forward(Shared(state): Shared<Arc<State>>, request: Request<Body>) -> Response {
    match try_forward(&state, request).await {
        Ok(response) => response,
        Err(problem) => answer(&problem),
    }
}

async fn try_forward(state: &State, request: Request<Body>) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let path = parts
        .uri
        .path_and_query()
        .map_or("", http::uri::PathAndQuery::as_str)
        .trim_start_matches("/api");
    if !matches!(parts.method, Method::GET | Method::POST | Method::PUT | Method::DELETE) {
        return Err(state.problem(405, "method-not-allowed", "the API knows GET, POST, PUT and DELETE"));
    }
    // The answer to logging in holds the token. It is for the cookie, not for scripts.
    if parts.method == Method::POST && parts.uri.path() == "/api/v1/sessions" {
        return Err(state.problem(403, "forbidden", "log in with POST /api/login"));
    }
    let Some(token) = login::token_of(&parts.headers) else {
        return Err(state.problem(401, "unauthorized", "log in first"));
    };
    let mut outgoing = Request::builder().method(parts.method).uri(path);
    if let Some(headers) = outgoing.headers_mut() {
        copy(&parts.headers, headers, &REQUEST_HEADERS);
        let unreadable = || state.problem(401, "unauthorized", "the session can't be read; log in again");
        headers.insert(header::AUTHORIZATION, bearer(token).ok_or_else(unreadable)?);
    }
    let body = collect(state, body, state.settings.body_bytes_max).await?;
    let outgoing = outgoing
        .body(body)
        .map_err(|_| state.problem(400, "bad-request", "the path can't be read"))?;
    let (parts, body) = send(state, outgoing).await?.into_parts();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = parts.status;
    copy(&parts.headers, response.headers_mut(), &RESPONSE_HEADERS);
    Ok(response)
}

fn bearer(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Sends a request to the servers; logs when they stop answering, and when they answer again.
pub(crate) async fn send(state: &State, request: Request<Bytes>) -> Result<http::Response<Bytes>, Problem> {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    match state.servers.send(request).await {
        Ok(response) => {
            if !state.servers_answer.swap(true, Ordering::Relaxed) {
                tracing::info!("servers answer again");
            }
            Ok(response)
        }
        Err(error @ GatewayError::NoServer { .. }) => {
            let problem = state.problem(
                503,
                "no-server",
                format!("{error}; look at `tenon status`, and try again"),
            );
            if state.servers_answer.swap(false, Ordering::Relaxed) {
                tracing::warn!(cid = problem.cid, "{error}");
            }
            Err(problem)
        }
        Err(GatewayError::Unknown(error)) => {
            let problem = state.problem(
                502,
                "outcome-unknown",
                "the server was lost before its answer came; look whether the call was done before you repeat it",
            );
            tracing::warn!(cid = problem.cid, %method, path, %error, "a call was lost");
            Err(problem)
        }
    }
}

/// The whole body, if it is small enough.
pub(crate) async fn collect(state: &State, body: Body, limit: usize) -> Result<Bytes, Problem> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(state.problem(
            413,
            "too-large",
            format!("the body is larger than the {limit} bytes that are allowed"),
        )),
        Err(_) => Err(state.problem(400, "bad-request", "the body was cut off")),
    }
}

/// `ANY /api/…` that is no API.
pub(crate) async fn unknown(Shared(state): Shared<Arc<State>>) -> Response {
    answer(&state.problem(404, "not-found", "the API begins with /api/v1/"))
}

/// Ends requests that take too long, so that a client that stalls holds nothing.
pub(crate) async fn time_limit(Shared(state): Shared<Arc<State>>, request: Request<Body>, next: Next) -> Response {
    match tokio::time::timeout(state.settings.request_timeout.0, next.run(request)).await {
        Ok(response) => response,
        Err(_) => answer(&state.problem(504, "timeout", "the request took too long and was given up")),
    }
}

/// A problem as an answer.
pub(crate) fn answer(problem: &Problem) -> Response {
    let status = http::StatusCode::from_u16(problem.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = [(header::CONTENT_TYPE, Problem::CONTENT_TYPE)];
    (status, content_type, problem.to_json()).into_response()
}

fn copy(from: &HeaderMap, to: &mut HeaderMap, names: &[HeaderName]) {
    for name in names {
        if let Some(value) = from.get(name) {
            to.insert(name.clone(), value.clone());
        }
    }
}
