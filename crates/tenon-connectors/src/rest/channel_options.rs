//! Options of the kind `rest-channel` that have fields of their own.

use std::time::Duration;

use http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenon_model::{DurationText, FieldProblem};

use super::channel_config::HttpMethod;
use super::config::{BODY_BYTES_MAX, check_timeout, has_variable, yes};

/// How CSV is read and written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CsvConfig {
    /// What stands between two fields: one ASCII character, such as `;`.
    #[serde(default = "comma")]
    pub delimiter: char,
    /// Whether the first line names the fields. Without it rows are lists, not objects.
    #[serde(default = "yes")]
    pub header: bool,
}

/// Pages of which other origins browsers let call a channel.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CorsConfig {
    /// Origins whose pages may call: `https://app.example.com`, `https://*.example.com` for all subdomains, or `*` for all.
    pub origins: Vec<String>,
    /// Methods that they may use; without it those that the path takes.
    #[serde(default)]
    pub methods: Vec<HttpMethod>,
    /// Headers that they may send; `*` for all.
    #[serde(default = "every_header")]
    pub headers: Vec<String>,
    /// Headers of answers that they may read, beside the few that they always may.
    #[serde(default = "cid_header")]
    pub expose_headers: Vec<String>,
    /// Whether browsers may send cookies and credentials along. Not together with the origin `*`.
    #[serde(default)]
    pub credentials: bool,
    /// How long a browser may remember all this.
    #[serde(default = "ten_minutes")]
    pub max_age: DurationText,
}

/// How answers are kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct CacheConfig {
    /// For how long.
    #[serde(default = "five_minutes")]
    pub ttl: DurationText,
    /// Whether callers with different credentials get the same answer.
    #[serde(default)]
    pub shared_across_callers: bool,
    /// Headers of requests whose values make a difference.
    #[serde(default)]
    pub vary_by_headers: Vec<String>,
    /// Parameters of the query string that make no difference.
    #[serde(default)]
    pub ignored_query_parameters: Vec<String>,
    /// Whether the body makes a difference. Without it only GET and HEAD are answered from what was kept.
    #[serde(default)]
    pub include_body_in_key: bool,
    /// The largest body of an answer that is kept, in bytes.
    #[serde(default = "one_mebibyte")]
    pub max_body_bytes: u64,
    /// Whether an answer is kept only when the same request comes for the second time within `ttl`.
    #[serde(default)]
    pub on_second_request: bool,
    /// Whether answers carry an `ETag`, so that `If-None-Match` can be answered with 304.
    #[serde(default = "yes")]
    pub etag: bool,
    /// How long a request waits for the answer to the same request that is under way, instead of calling the service, too.
    /// `0s`: it does not wait.
    #[serde(default = "fifteen_seconds")]
    pub coalesce_timeout: DurationText,
}

/// `true`, `false`, or options.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum IdempotencyKey {
    Switch(bool),
    Options(IdempotencyOptions),
}

impl Default for IdempotencyKey {
    fn default() -> Self {
        Self::Switch(false)
    }
}

impl IdempotencyKey {
    /// How long an answer is kept; none if keys are not looked at.
    pub(super) fn ttl(self) -> Option<DurationText> {
        match self {
            Self::Switch(on) => on.then(one_day),
            Self::Options(options) => Some(options.ttl),
        }
    }
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdempotencyOptions {
    /// How long the first answer is kept.
    #[serde(default = "one_day")]
    pub ttl: DurationText,
}

/// What callers are told of a channel's end.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeprecatedConfig {
    /// Since when it should not be used: a day such as `2026-03-01`, or an instant.
    pub since: Option<String>,
    /// When it stops working: a day or an instant. It is what callers are told; the channel stays until it is removed.
    pub sunset: Option<String>,
    /// What to use in its place: a URL or a path.
    pub successor: Option<String>,
}

impl CorsConfig {
    pub(super) fn check(&self, problems: &mut Vec<FieldProblem>) {
        if self.origins.is_empty() {
            problems.push(FieldProblem::new("cors.origins", "name at least one origin, or '*'"));
        }
        for (index, origin) in self.origins.iter().enumerate() {
            if !is_origin(origin) {
                problems.push(FieldProblem::new(
                    format!("cors.origins[{index}]"),
                    "an origin is a scheme and a host, such as https://app.example.com or https://*.example.com:8443, or '*'",
                ));
            }
        }
        if self.credentials && self.origins.iter().any(|origin| origin == "*") {
            problems.push(FieldProblem::new(
                "cors.credentials",
                "credentials are not possible with the origin '*'; name the origins",
            ));
        }
        check_headers(problems, "cors.headers", &self.headers, true);
        check_headers(problems, "cors.expose_headers", &self.expose_headers, true);
        if self.max_age.0 > Duration::from_hours(24) {
            problems.push(FieldProblem::new("cors.max_age", "at most 1d"));
        }
    }
}

impl CacheConfig {
    pub(super) fn check(&self, streams: bool, problems: &mut Vec<FieldProblem>) {
        check_timeout(problems, "cache.ttl", self.ttl, Duration::from_hours(24 * 30));
        check_headers(problems, "cache.vary_by_headers", &self.vary_by_headers, false);
        if self.max_body_bytes == 0 || self.max_body_bytes > BODY_BYTES_MAX {
            problems.push(FieldProblem::new(
                "cache.max_body_bytes",
                format!("must be 1 to {BODY_BYTES_MAX}"),
            ));
        }
        if self.coalesce_timeout.0 > Duration::from_hours(1) {
            problems.push(FieldProblem::new("cache.coalesce_timeout", "at most 1h"));
        }
        if streams {
            problems.push(FieldProblem::new(
                "cache",
                "answers of a channel that streams can't be kept; leave out one of both",
            ));
        }
    }
}

impl DeprecatedConfig {
    pub(super) fn check(&self, problems: &mut Vec<FieldProblem>) {
        for (field, text) in [("since", &self.since), ("sunset", &self.sunset)] {
            if let Some(text) = text
                && !has_variable(text)
                && seconds_of(text).is_none()
            {
                problems.push(FieldProblem::new(
                    format!("deprecated.{field}"),
                    "must be a day such as 2026-03-01 or an instant such as 2026-03-01T12:00:00Z",
                ));
            }
        }
        let is_link = |text: &String| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && !b"<>\"".contains(&byte))
        };
        if self
            .successor
            .as_ref()
            .is_some_and(|text| !has_variable(text) && !is_link(text))
        {
            problems.push(FieldProblem::new("deprecated.successor", "must be a URL or a path"));
        }
    }
}

/// A day (its beginning in UTC) or an instant, in seconds since 1970.
pub(super) fn seconds_of(text: &str) -> Option<i64> {
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(instant.as_second());
    }
    let day: jiff::civil::Date = text.parse().ok()?;
    let start = day.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(start.timestamp().as_second())
}

fn is_origin(text: &str) -> bool {
    if text == "*" || text == "null" || has_variable(text) {
        return true;
    }
    let Some((scheme, host)) = text.split_once("://") else {
        return false;
    };
    let bare = host.strip_prefix("*.").unwrap_or(host);
    !scheme.is_empty()
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !bare.is_empty()
        && bare
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]_".contains(&byte))
}

fn check_headers(problems: &mut Vec<FieldProblem>, field: &str, names: &[String], star: bool) {
    for (index, name) in names.iter().enumerate() {
        let is_star = name == "*";
        if (is_star && !star) || (!is_star && !has_variable(name) && HeaderName::from_bytes(name.as_bytes()).is_err()) {
            problems.push(FieldProblem::new(
                format!("{field}[{index}]"),
                "this is not the name of a header",
            ));
        }
    }
}

fn comma() -> char {
    ','
}

fn every_header() -> Vec<String> {
    vec!["*".to_owned()]
}

fn cid_header() -> Vec<String> {
    vec!["X-Tenon-Cid".to_owned()]
}

fn one_mebibyte() -> u64 {
    1024 * 1024
}

fn fifteen_seconds() -> DurationText {
    DurationText::from_secs(15)
}

fn five_minutes() -> DurationText {
    DurationText::from_secs(300)
}

fn ten_minutes() -> DurationText {
    DurationText::from_secs(600)
}

fn one_day() -> DurationText {
    DurationText::from_secs(86_400)
}
