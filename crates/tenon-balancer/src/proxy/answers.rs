//! Answers that the load balancer gives itself.

use tenon_model::Problem;

use crate::codec::{Method, Persistence, Refusal};
use crate::shaping::Rejection;

/// How a request ended that no server answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// No server got it: it can be repeated safely.
    NotSent,
    /// A server got it, and nobody knows what the server did.
    Unknown,
}

/// Why no server answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No server could take the request in time.
    NoServer,
    /// Too many requests wait for a server already.
    QueueFull,
    /// All servers had as many requests as they may for too long, or too many requests waited for that already.
    Busy,
    /// The server's connection ended before any byte of an answer.
    Lost,
    /// What the server sent is no answer.
    BadAnswer,
    /// The server did not answer in time.
    Timeout,
    /// The server was found dead while it had the request.
    ServerDead,
}

impl Failure {
    pub(crate) const fn status(self) -> u16 {
        match self {
            Self::NoServer | Self::QueueFull | Self::Busy => 503,
            Self::Lost | Self::BadAnswer => 502,
            Self::Timeout | Self::ServerDead => 504,
        }
    }

    const fn kind_and_detail(self) -> (&'static str, &'static str) {
        match self {
            Self::NoServer => (
                "no-server",
                "no server could take the request in time; nothing was sent, try again",
            ),
            Self::QueueFull => (
                "no-server",
                "too many requests wait for a server; nothing was sent, try again",
            ),
            Self::Busy => (
                "busy",
                "all servers have as many requests as they may; nothing was sent, try again",
            ),
            Self::Lost => (
                "unknown-outcome",
                "the server went away after it got the request; look before you repeat it",
            ),
            Self::BadAnswer => ("bad-answer", "what the server answered is not HTTP"),
            Self::Timeout => (
                "unknown-outcome",
                "the server did not answer in time; look before you repeat the request",
            ),
            Self::ServerDead => (
                "unknown-outcome",
                "the server stopped answering while it had the request; look before you repeat it",
            ),
        }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}

/// What is to be answered, and to whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addressee<'a> {
    /// The method, so that `HEAD` gets no body.
    pub(crate) method: Option<Method>,
    pub(crate) cid: &'a str,
    pub(crate) persistence: Persistence,
}

fn write(out: &mut Vec<u8>, status: u16, extra: &str, media_type: &str, body: &[u8], to: Addressee<'_>) {
    let connection = match to.persistence {
        Persistence::Close => "connection: close\r\n",
        Persistence::KeepAlive => "connection: keep-alive\r\n",
        Persistence::Implied => "",
    };
    let head = format!(
        "HTTP/1.1 {status} {}\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\n{extra}{connection}\r\n",
        reason(status),
        body.len(),
    );
    out.extend_from_slice(head.as_bytes());
    if to.method != Some(Method::Head) {
        out.extend_from_slice(body);
    }
}

fn write_problem(out: &mut Vec<u8>, problem: &Problem, extra: &str, to: Addressee<'_>) {
    let extra = format!("x-tenon-cid: {}\r\n{extra}", to.cid);
    write(
        out,
        problem.status,
        &extra,
        Problem::CONTENT_TYPE,
        &problem.to_json(),
        to,
    );
}

/// The answer to a request that is refused.
pub(crate) fn refusal(out: &mut Vec<u8>, refusal: Refusal, to: Addressee<'_>) {
    let problem = Problem::new(refusal.status(), refusal.kind(), refusal.detail()).with_cid(to.cid);
    write_problem(out, &problem, "", to);
}

/// The answer to a request that rules or limits do not let in.
pub(crate) fn rejection(out: &mut Vec<u8>, rejection: &Rejection, to: Addressee<'_>) {
    if (300..400).contains(&rejection.status) {
        let extra = format!("x-tenon-cid: {}\r\n{}", to.cid, rejection.fields);
        return write(out, rejection.status, &extra, "text/plain", b"", to);
    }
    let problem = Problem::new(rejection.status, rejection.kind, rejection.detail).with_cid(to.cid);
    write_problem(out, &problem, &rejection.fields, to);
}

/// The answer to a request that no server answered.
pub(crate) fn failure(out: &mut Vec<u8>, failure: Failure, outcome: Outcome, to: Addressee<'_>) {
    let (kind, detail) = failure.kind_and_detail();
    let problem = Problem::new(failure.status(), kind, detail).with_cid(to.cid);
    let extra = match outcome {
        Outcome::NotSent => "retry-after: 1\r\nx-tenon-outcome: not-sent\r\n",
        Outcome::Unknown => "x-tenon-outcome: unknown\r\n",
    };
    write_problem(out, &problem, extra, to);
}

/// The answer to an authority that asks whether a host is ours; gives its status.
pub(crate) fn proof(out: &mut Vec<u8>, proof: &str, to: Addressee<'_>) -> u16 {
    write(out, 200, "", "application/octet-stream", proof.as_bytes(), to);
    200
}

/// The answer of `/tenon/live`, which says 503 when the load balancer is about to leave; gives its status.
pub(crate) fn live(out: &mut Vec<u8>, leaving: bool, to: Addressee<'_>) -> u16 {
    if leaving && matches!(to.method, Some(Method::Get | Method::Head)) {
        write(out, 503, "", "application/json", b"{\"is_ok\":false}", to);
        503
    } else if matches!(to.method, Some(Method::Get | Method::Head)) {
        write(out, 200, "", "application/json", b"{\"is_ok\":true}", to);
        200
    } else {
        let problem = Problem::new(405, "method-not-allowed", "only GET and HEAD are served here").with_cid(to.cid);
        write_problem(out, &problem, "allow: GET, HEAD\r\n", to);
        405
    }
}
