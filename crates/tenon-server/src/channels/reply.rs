//! From a service's answer, or from what went wrong, to an HTTP response.

use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use serde_json::json;
use tenon_connectors::{DataFormat, ErrorFormat};
use tenon_model::{CorrelationId, Problem};

use super::format;
use super::reply_body::ReplyBody;
use super::router::Route;
use crate::body::BodyError;
use crate::call::{ServiceAnswer, ServiceError};
use crate::security::Refusal;

/// A response of the data plane. One that says what is wrong has the [`Problem`] among its extensions and no body yet.
pub(super) type Reply = Response<ReplyBody>;

/// The header that carries the correlation id of a call.
pub(super) static CID_HEADER: HeaderName = HeaderName::from_static("x-tenon-cid");

/// The header that says, when a service did not answer, whether it may have run: `not-run` or `unknown`.
static OUTCOME_HEADER: HeaderName = HeaderName::from_static("x-tenon-outcome");

/// Headers that a service can't set, because they belong to the connection or to the framing.
const NOT_FOR_SERVICES: [&str; 6] = [
    "connection",
    "content-length",
    "keep-alive",
    "transfer-encoding",
    "upgrade",
    "trailer",
];

/// How large the headers of a service may be together: a load balancer takes 32 KiB of a head.
const HEADERS_BYTES_MAX: usize = 24 * 1024;

/// The status of an answer that can be sent.
fn status_of(answer: &ServiceAnswer) -> Result<StatusCode, Problem> {
    let wrong = |what: String| Problem::new(500, "service-failed", format!("the service answered with {what}"));
    let headers = answer.headers.iter();
    let bytes: usize = headers.map(|(name, value)| name.len() + value.len() + 4).sum();
    if bytes > HEADERS_BYTES_MAX {
        return Err(wrong(format!(
            "{bytes} bytes of headers, more than {HEADERS_BYTES_MAX}"
        )));
    }
    // One that is not the last would leave the caller waiting for it.
    let status = StatusCode::from_u16(answer.status).ok();
    let status = status.filter(|status| !status.is_informational());
    status.ok_or_else(|| wrong(format!("the status {}, which ends no request", answer.status)))
}

/// What a service answered.
pub(super) async fn answer(route: &Route, mut answer: ServiceAnswer) -> Reply {
    let status = match status_of(&answer) {
        Ok(status) => status,
        Err(problem) => {
            tracing::warn!(service = %route.http.service, "{}", problem.detail);
            return problem_reply(problem);
        }
    };
    let mut media_type = None;
    if answer.body_is_json
        && answer.content_type.is_none()
        && let Some((body, written)) = format::write_beside(&route.http, &answer.body).await
    {
        answer.body = body;
        media_type = Some(written);
    }
    let content_type = answer.content_type.as_deref().or(route.http.content_type.as_deref());
    let content_type = match content_type {
        Some(content_type) => HeaderValue::from_str(content_type).ok(),
        None if media_type.is_some() => media_type.map(HeaderValue::from_static),
        None if answer.body_is_json || route.http.data_format == DataFormat::Json => {
            Some(HeaderValue::from_static("application/json"))
        }
        None => Some(HeaderValue::from_static("text/plain; charset=utf-8")),
    };
    let is_problem = answer.content_type.as_deref() == Some(Problem::CONTENT_TYPE);
    let told = if is_problem && route.http.errors == ErrorFormat::Zato {
        serde_json::from_slice::<Problem>(&answer.body).ok()
    } else {
        None
    };
    let mut response = Response::new(ReplyBody::new(answer.body, answer.body_stream.as_ref()));
    *response.status_mut() = status;
    if let Some(problem) = told {
        response.extensions_mut().insert(problem);
    }
    let headers = response.headers_mut();
    if let Some(content_type) = content_type {
        headers.insert(CONTENT_TYPE, content_type);
    }
    for (name, value) in &answer.headers {
        let name = HeaderName::try_from(name.as_str());
        let value = HeaderValue::from_str(value);
        if let (Ok(name), Ok(value)) = (name, value)
            && !NOT_FOR_SERVICES.contains(&name.as_str())
        {
            headers.append(name, value);
        }
    }
    response
}

/// What went wrong, for the caller: nothing of the inside.
pub(super) fn failure(error: &ServiceError) -> Reply {
    let problem = match error {
        ServiceError::NotFound(name) => Problem::new(
            503,
            "service-not-deployed",
            format!("the service '{name}' of this channel is not deployed"),
        ),
        ServiceError::Busy { .. } => Problem::new(503, "too-busy", "too many calls are waiting; try again later"),
        ServiceError::Timeout => Problem::new(504, "timeout", "the service did not answer in time"),
        ServiceError::WorkerDied { .. } => Problem::new(
            502,
            "worker-died",
            "the process that ran the service ended before it answered",
        ),
        ServiceError::Raised { .. } => Problem::new(
            500,
            "service-failed",
            "the service failed; the log has the details under this cid",
        ),
        ServiceError::Quarantined(_) => Problem::new(
            503,
            "service-quarantined",
            "the service is not run any more because it keeps ending its process",
        ),
        ServiceError::Unavailable(_) => {
            Problem::new(503, "unavailable", "no worker can take the call now; try again later")
        }
        ServiceError::Body(BodyError::TooLarge(_)) => Problem::new(413, "body-too-large", error.to_string()),
        ServiceError::Body(BodyError::CutOff(_)) => Problem::new(400, "body-cut-off", error.to_string()),
        ServiceError::TooDeep(_) => Problem::new(500, "invoked-too-deep", "services invoke each other without an end"),
    };
    let mut response = problem_reply(problem);
    let retry_after = match error {
        ServiceError::Busy { retry_after } => Some(retry_after.as_secs().max(1)),
        ServiceError::Unavailable(_) => Some(1),
        _ => None,
    };
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(outcome) = outcome(error) {
        let value = HeaderValue::from_static(outcome);
        response.headers_mut().insert(OUTCOME_HEADER.clone(), value);
    }
    response
}

/// Whether a service that did not answer may have run; nothing is said if it did answer, be it with an exception.
const fn outcome(error: &ServiceError) -> Option<&'static str> {
    match error {
        ServiceError::NotFound(_)
        | ServiceError::Busy { .. }
        | ServiceError::Quarantined(_)
        | ServiceError::Body(_)
        | ServiceError::Unavailable(_) => Some("not-run"),
        ServiceError::Timeout | ServiceError::WorkerDied { .. } => Some("unknown"),
        ServiceError::Raised { .. } | ServiceError::TooDeep(_) => None,
    }
}

/// Whether a service was certainly not run.
pub(super) fn was_not_run(error: &ServiceError) -> bool {
    outcome(error) == Some("not-run")
}

/// A problem as a response.
pub(super) fn problem_reply(problem: Problem) -> Reply {
    let mut response = Response::new(ReplyBody::from(""));
    *response.status_mut() = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.extensions_mut().insert(problem);
    response
}

/// The channel does not let the request in.
pub(super) fn refused(refusal: Refusal) -> Reply {
    with_headers(problem_reply(refusal.problem), refusal.headers)
}

/// Adds headers to an answer; those of the same name stay.
pub(super) fn with_headers(mut response: Reply, headers: Vec<(HeaderName, HeaderValue)>) -> Reply {
    for (name, value) in headers {
        response.headers_mut().append(name, value);
    }
    response
}

/// The server does not know its channels yet.
pub(super) fn starting() -> Reply {
    failure(&ServiceError::Unavailable("the objects are being loaded".to_owned()))
}

/// No channel has this path.
pub(super) fn not_found() -> Reply {
    problem_reply(Problem::new(404, "not-found", "no channel has this path"))
}

/// Channels of this path and method exist, but they answer with nothing that the caller accepts.
pub(super) fn not_acceptable() -> Reply {
    problem_reply(Problem::new(
        406,
        "not-acceptable",
        "no channel of this path answers with a media type that 'Accept' allows",
    ))
}

/// Channels of this path exist, but for other methods.
pub(super) fn wrong_method(allowed: &[Method]) -> Reply {
    let list = allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    let mut response = problem_reply(Problem::new(
        405,
        "method-not-allowed",
        format!("this path takes {list} only"),
    ));
    if let Ok(value) = HeaderValue::from_str(&list) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}

/// The methods of a path.
pub(super) fn options(mut methods: Vec<Method>) -> Reply {
    for implied in [(Method::GET, Method::HEAD), (Method::HEAD, Method::OPTIONS)] {
        let (cause, implied) = implied;
        if (methods.contains(&cause) || implied == Method::OPTIONS) && !methods.contains(&implied) {
            methods.push(implied);
        }
    }
    let mut response = Response::new(ReplyBody::from(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let list = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    if let Ok(value) = HeaderValue::from_str(&list) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}

/// Adds the correlation id, and writes what is wrong in the form that the channel's callers know.
pub(super) fn finish(mut response: Reply, cid: &CorrelationId, errors: ErrorFormat) -> Reply {
    if let Ok(value) = HeaderValue::from_str(cid.as_str()) {
        response.headers_mut().insert(CID_HEADER.clone(), value);
    }
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let problem = problem.with_cid(cid.as_str());
        let (body, media_type) = match errors {
            ErrorFormat::Problem => (problem.to_json(), Problem::CONTENT_TYPE),
            ErrorFormat::Zato => (zato_error(&problem), "application/json"),
        };
        *response.body_mut() = ReplyBody::from(body);
        let media_type = HeaderValue::from_static(media_type);
        response.headers_mut().insert(CONTENT_TYPE, media_type);
    }
    response
}

/// An error as callers of Zato know it.
fn zato_error(problem: &Problem) -> Vec<u8> {
    let details = if problem.detail.is_empty() {
        &problem.title
    } else {
        &problem.detail
    };
    let error = json!({"result": "Error", "cid": problem.cid, "details": details});
    error.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_can_not_be_sent_are_failures_of_their_service() {
        let answer = |status, header: usize| ServiceAnswer {
            status,
            headers: vec![("x-own".to_owned(), "v".repeat(header))],
            ..ServiceAnswer::default()
        };
        for (status, header, sent) in [
            (200, 10, true),
            (599, HEADERS_BYTES_MAX - 9, true),
            (200, HEADERS_BYTES_MAX - 8, false),
            (101, 10, false),
            (0, 10, false),
            (1000, 10, false),
        ] {
            let found = status_of(&answer(status, header));
            assert_eq!(found.is_ok(), sent, "{status} {header}");
            assert!(found.is_ok_and(|found| found == status) || !sent);
        }
    }
}
