//! The kind of outgoing REST connections as users see it, and the checks that it shares with channels.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenon_model::{DurationText, FieldProblem, KindConfig, KindGroup};

use super::target::UrlTemplate;

/// The largest body that a worker's protocol carries by default; no channel or connection may promise more.
pub(super) const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A connection to an HTTP server.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestOutgoing {
    /// Whether services may use it.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The address, such as `https://crm.example.com/customers/{id}`. Path parameters are filled from a call's parameters;
    /// those left over become the query string.
    pub url: String,
    /// The security definition whose credentials are sent with each request.
    #[schemars(extend("x-tenon-reference" = ["api-key", "basic-auth"]))]
    pub security: Option<String>,
    /// Headers sent with each request, unless a call gives its own.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The media type of request bodies, unless a call gives its own `Content-Type`.
    #[serde(default = "json_media_type")]
    pub content_type: String,
    /// The method of a ping.
    #[serde(default)]
    pub ping_method: PingMethod,
    /// How long a call may take in all: waiting for a connection, connecting, the answer and retries.
    #[serde(default = "ten_seconds")]
    pub timeout: DurationText,
    /// How long connecting may take, TLS included.
    #[serde(default = "five_seconds")]
    pub connect_timeout: DurationText,
    /// How many connections there may be at a time; further calls wait.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1, max = 10_000))]
    pub pool_size: u32,
    /// How long a connection that nobody uses is kept.
    #[serde(default = "thirty_seconds")]
    pub idle_timeout: DurationText,
    /// How large the body of an answer may be, in bytes.
    #[serde(default = "sixteen_mebibytes")]
    #[schemars(range(max = 67_108_864_u64))]
    pub response_limit_bytes: u64,
    /// How often a call is repeated when it failed: methods that change nothing (GET, HEAD, OPTIONS) when the server can't be reached,
    /// breaks off or answers 429, 502, 503 or 504; other methods only when nothing was sent.
    #[serde(default)]
    #[schemars(range(max = 20))]
    pub max_retries: u32,
    /// How long to wait before the first repetition. It doubles each time, and varies by chance.
    #[serde(default = "half_second")]
    pub retry_wait: DurationText,
    /// The longest wait between two attempts.
    #[serde(default = "thirty_seconds")]
    pub retry_wait_max: DurationText,
    /// How many redirects GET and HEAD follow. They are followed only to the same scheme, host and port.
    #[serde(default)]
    #[schemars(range(max = 20))]
    pub max_redirects: u32,
    /// Whether the server's certificate is checked. Without the check anybody on the way can read and change everything.
    #[serde(default = "yes")]
    pub tls_verify: bool,
    /// PEM file with the certificate authorities to trust instead of the system's.
    pub ca_file: Option<String>,
}

/// Methods of a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum PingMethod {
    #[default]
    Head,
    Get,
    Options,
}

impl From<PingMethod> for http::Method {
    fn from(method: PingMethod) -> Self {
        match method {
            PingMethod::Head => Self::HEAD,
            PingMethod::Get => Self::GET,
            PingMethod::Options => Self::OPTIONS,
        }
    }
}

impl KindConfig for RestOutgoing {
    const NAME: &'static str = "rest-outgoing";
    const TITLE: &'static str = "Outgoing REST connection";
    const GROUP: KindGroup = KindGroup::Outgoing;

    fn check(&self) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        if !has_variable(&self.url)
            && let Err(message) = self.url.parse::<UrlTemplate>()
        {
            problems.push(FieldProblem::new("url", message));
        }
        for (name, value) in &self.headers {
            let field = format!("headers.{name}");
            match HeaderName::from_bytes(name.as_bytes()) {
                Err(_) => problems.push(FieldProblem::new(field, "this is not the name of a header")),
                Ok(header) if is_own_header(&header) => {
                    problems.push(FieldProblem::new(field, "this header is set by the connection itself"));
                }
                Ok(_) if HeaderValue::from_str(value).is_err() => {
                    problems.push(FieldProblem::new(
                        field,
                        "the value has characters that no header may have",
                    ));
                }
                Ok(_) => {}
            }
        }
        let longest = Duration::from_hours(1);
        check_timeout(&mut problems, "timeout", self.timeout, longest);
        check_timeout(&mut problems, "connect_timeout", self.connect_timeout, longest);
        check_timeout(&mut problems, "retry_wait", self.retry_wait, longest);
        check_timeout(&mut problems, "retry_wait_max", self.retry_wait_max, longest);
        if !(1..=10_000).contains(&self.pool_size) {
            problems.push(FieldProblem::new("pool_size", "must be 1 to 10000"));
        }
        for (field, number) in [("max_retries", self.max_retries), ("max_redirects", self.max_redirects)] {
            if number > 20 {
                problems.push(FieldProblem::new(field, "at most 20"));
            }
        }
        check_body_limit(&mut problems, "response_limit_bytes", self.response_limit_bytes);
        check_content_type(&mut problems, Some(&self.content_type));
        problems
    }
}

/// Headers that say how a message is framed; a user's value would contradict what is sent.
pub(super) fn is_own_header(name: &HeaderName) -> bool {
    use http::header;
    [
        header::HOST,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::TE,
        header::TRAILER,
        header::EXPECT,
    ]
    .contains(name)
}

/// Whether a text is to be replaced before it is used, so that its form can't be judged yet.
pub(super) fn has_variable(text: &str) -> bool {
    text.contains("${") || text.starts_with("secret:")
}

pub(super) fn check_timeout(problems: &mut Vec<FieldProblem>, field: &str, value: DurationText, longest: Duration) {
    if value.0.is_zero() || value.0 > longest {
        let longest = DurationText(longest);
        problems.push(FieldProblem::new(
            field,
            format!("must be more than 0s and at most {longest}"),
        ));
    }
}

pub(super) fn check_body_limit(problems: &mut Vec<FieldProblem>, field: &str, value: u64) {
    if value > BODY_BYTES_MAX {
        problems.push(FieldProblem::new(field, format!("at most {BODY_BYTES_MAX} (64 MiB)")));
    }
}

pub(super) fn check_content_type(problems: &mut Vec<FieldProblem>, value: Option<&str>) {
    let is_wrong = |text: &str| !has_variable(text) && (HeaderValue::from_str(text).is_err() || !text.contains('/'));
    if value.is_some_and(is_wrong) {
        problems.push(FieldProblem::new(
            "content_type",
            "must be a media type such as application/json",
        ));
    }
}

pub(super) fn yes() -> bool {
    true
}

fn twenty() -> u32 {
    20
}

fn sixteen_mebibytes() -> u64 {
    16 * 1024 * 1024
}

fn half_second() -> DurationText {
    DurationText::from_millis(500)
}

fn five_seconds() -> DurationText {
    DurationText::from_secs(5)
}

fn ten_seconds() -> DurationText {
    DurationText::from_secs(10)
}

fn thirty_seconds() -> DurationText {
    DurationText::from_secs(30)
}

fn json_media_type() -> String {
    "application/json".to_owned()
}
