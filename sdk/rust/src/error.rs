//! How a service fails: an answer meant for its caller, or a failure that only the log sees.

use std::error::Error as StdError;
use std::fmt::{self, Write as _};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::host_error::HostError;

/// What a handler returns when it does not answer as asked.
///
/// There are two sorts. An *answer*, made by [`Error::not_found`], [`Error::conflict`], [`Error::new`] and their like, is meant
/// for the caller: its status and its text become `application/problem+json` (RFC 9457) with the correlation id. A *failure* is
/// anything else that `?` meets: the caller gets a 500 that says nothing but the correlation id, the log gets the error with
/// all its sources.
///
/// ```
/// use tenon_sdk::Error;
///
/// fn balance_of(text: &str) -> Result<i64, Error> {
///     if text.is_empty() {
///         return Err(Error::not_found("there is no such account"));
///     }
///     Ok(text.parse()?) // a failure: not the caller's business
/// }
/// assert_eq!(balance_of("").unwrap_err().status(), 404);
/// assert_eq!(balance_of("x").unwrap_err().status(), 500);
/// ```
///
/// A [`HostError`] keeps its meaning on the way through `?`: what an invoked service answered is passed on to the caller, and a
/// connection that is down is a 502, 503 or 504 without details.
pub struct Error(Box<Sort>);

/// What an error is.
#[derive(Debug)]
pub(crate) enum Sort {
    /// Meant for the caller.
    Answer(Answer),
    /// Meant for the log.
    Failure(Failure),
    /// Nobody waits for the answer any more.
    Cancelled,
}

/// An answer with a status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) detail: String,
    pub(crate) elements: Vec<FieldError>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) source: Option<Box<dyn StdError + Send + Sync>>,
}

/// An error that nobody expected.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: String,
    pub(crate) message: String,
    pub(crate) trace: String,
}

/// An element of the input that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// Where it is: `/lines[1]/quantity`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// The body of an answer that is no success, as RFC 9457 has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A stable name for this sort of problem, such as `tenon:not-found`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The sort of problem in a few words.
    #[serde(default)]
    pub title: String,
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// What happened.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The correlation id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cid: String,
    /// Which elements of the input are wrong, if that is what is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl Problem {
    /// The media type of a problem.
    pub const CONTENT_TYPE: &'static str = "application/problem+json";
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.detail.is_empty() {
            &self.title
        } else {
            &self.detail
        };
        write!(f, "{} {text}", self.status)
    }
}

impl Error {
    /// An answer with a status and a sentence for the caller. A status that is none of HTTP's becomes 500.
    pub fn new(status: u16, detail: impl Into<String>) -> Self {
        let status = if (100..=599).contains(&status) { status } else { 500 };
        Self(Box::new(Sort::Answer(Answer {
            status,
            detail: detail.into(),
            elements: Vec::new(),
            headers: Vec::new(),
            source: None,
        })))
    }

    /// 400: what the caller sent is wrong.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(400, detail)
    }

    /// 400: an element of the input is wrong. `field` says where it is, such as `/lines[1]/quantity`.
    pub fn bad_element(field: impl Into<String>, message: impl Into<String>) -> Self {
        let (field, message) = (field.into(), message.into());
        Self::new(400, format!("Invalid input: {field}: {message}")).with_element(field, message)
    }

    /// 401: the caller is not known. `challenge` becomes the header `WWW-Authenticate`.
    pub fn unauthorized(detail: impl Into<String>, challenge: impl Into<String>) -> Self {
        Self::new(401, detail).with_header("WWW-Authenticate", challenge)
    }

    /// 403: the caller may not do this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(403, detail)
    }

    /// 404: what was asked for does not exist.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404, detail)
    }

    /// 409: what was asked for does not go with what is there.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(409, detail)
    }

    /// 429: the caller asks too often; whole seconds of `retry_after` become the header `Retry-After`.
    pub fn too_many_requests(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(429, detail).with_header("Retry-After", retry_after.as_secs().max(1).to_string())
    }

    /// 500, with a sentence that the caller may read.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(500, detail)
    }

    /// 503: try again later; whole seconds of `retry_after` become the header `Retry-After`.
    pub fn unavailable(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(503, detail).with_header("Retry-After", retry_after.as_secs().max(1).to_string())
    }

    /// A failure: the caller gets a 500 that says nothing but the correlation id, the log gets the text.
    pub fn failure(message: impl Into<String>) -> Self {
        Self::failed("Failure", message.into(), trace_of(None))
    }

    /// The same answer with a header. A failure has none.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Sort::Answer(answer) = &mut *self.0 {
            answer.headers.push((name.into(), value.into()));
        }
        self
    }

    /// The same answer, naming one more element of the input that is wrong. A failure names none.
    #[must_use]
    pub fn with_element(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        if let Sort::Answer(answer) = &mut *self.0 {
            answer.elements.push(FieldError {
                field: field.into(),
                message: message.into(),
            });
        }
        self
    }

    /// The same answer with what caused it, for the log: answers of 500 and above are logged.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        if let Sort::Answer(answer) = &mut *self.0 {
            answer.source = Some(source.into());
        }
        self
    }

    /// The status that the caller gets.
    pub fn status(&self) -> u16 {
        match &*self.0 {
            Sort::Answer(answer) => answer.status,
            Sort::Failure(_) => 500,
            Sort::Cancelled => 499,
        }
    }

    /// Whether it is meant for the caller.
    pub fn is_answer(&self) -> bool {
        matches!(&*self.0, Sort::Answer(_))
    }

    pub(crate) fn cancelled() -> Self {
        Self(Box::new(Sort::Cancelled))
    }

    pub(crate) fn failed(kind: impl Into<String>, message: String, trace: String) -> Self {
        let kind = kind.into();
        Self(Box::new(Sort::Failure(Failure { kind, message, trace })))
    }

    pub(crate) fn sort(&self) -> &Sort {
        &self.0
    }

    pub(crate) fn into_sort(self) -> Sort {
        *self.0
    }

    fn of_host(error: HostError) -> Self {
        match error {
            HostError::Answered(problem) => {
                let mut answered = Self::new(problem.status, problem.detail);
                if let Sort::Answer(answer) = &mut *answered.0 {
                    answer.elements = problem.errors;
                }
                answered
            }
            HostError::Cancelled => Self::cancelled(),
            other => {
                let status = other.status();
                // Addresses and messages of other systems are for the log. A mistake of the service, such as a connection that
                // does not exist, is not the fault of its caller.
                let status = if (500..=599).contains(&status) { status } else { 500 };
                let detail = "something that the service needs is not available; the log says what, under this cid";
                Self::new(status, detail).with_source(other)
            }
        }
    }
}

impl Answer {
    /// The body of the answer.
    pub(crate) fn problem(&self, cid: &str) -> Problem {
        let title = reason(self.status);
        Problem {
            kind: format!("tenon:{}", title.to_ascii_lowercase().replace(' ', "-")),
            title: title.to_owned(),
            status: self.status,
            detail: if self.detail.is_empty() {
                title.to_owned()
            } else {
                self.detail.clone()
            },
            cid: cid.to_owned(),
            errors: self.elements.clone(),
        }
    }
}

impl<E> From<E> for Error
where
    E: StdError + Send + Sync + 'static,
{
    fn from(error: E) -> Self {
        let boxed: Box<dyn StdError + Send + Sync> = Box::new(error);
        match boxed.downcast::<HostError>() {
            Ok(host) => Self::of_host(*host),
            Err(other) => Self::failed(type_name::<E>(), other.to_string(), trace_of(Some(&*other))),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Sort::Answer(answer) => write!(f, "{} {}", answer.status, answer.detail),
            Sort::Failure(failure) => write!(f, "{}: {}", failure.kind, failure.message),
            Sort::Cancelled => f.write_str("the call was cancelled"),
        }
    }
}

/// A type's name without the modules it is in.
pub(crate) fn type_name<T: ?Sized>() -> String {
    let name = std::any::type_name::<T>();
    let end = name.find('<').unwrap_or(name.len());
    let start = name[..end].rfind("::").map_or(0, |at| at + 2);
    name[start..].to_owned()
}

/// An error's sources, one per line, and where it was met if `RUST_BACKTRACE` asks for that.
pub(crate) fn trace_of(error: Option<&(dyn StdError + 'static)>) -> String {
    let mut trace = String::new();
    let mut source = error.and_then(StdError::source);
    while let Some(cause) = source {
        let _ = writeln!(trace, "caused by: {cause}");
        source = cause.source();
    }
    let place = std::backtrace::Backtrace::capture();
    if place.status() == std::backtrace::BacktraceStatus::Captured {
        trace.push_str(&place.to_string());
    }
    trace
}

/// A status in words.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        423 => "Locked",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Error",
    }
}
