//! The kind `rest-channel` as users see it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenon_model::{DurationText, FieldProblem, KindConfig, KindGroup};

use super::channel_options::{CacheConfig, CorsConfig, CsvConfig, DeprecatedConfig, IdempotencyKey};
use super::config::{check_body_limit, check_content_type, check_timeout, has_variable, yes};
use crate::http_route::{DataFormat, ErrorFormat, MediaRange, ParamsPriority, UrlParamsPriority};
use crate::path::PathPattern;

/// A path on which HTTP clients call a service.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct RestChannel {
    /// Whether it takes requests.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The path, such as `/customers/{id}` or `/reports/{year}-{month}.pdf`. A parameter takes characters of one segment;
    /// `{name*}` at the end takes all the rest.
    pub path: String,
    /// Whether a parameter that is the path's last segment takes all the rest, with its slashes.
    #[serde(default)]
    pub match_slash: bool,
    /// The only method that it takes; without it, any method, or those that the service has handlers for.
    pub method: Option<HttpMethod>,
    /// What it answers with, such as `application/json` or `text/*`: takes only requests that accept it. Several channels may
    /// have the same path and method and differ in this.
    #[serde(default = "any_media_type")]
    pub accept: String,
    /// The service that is called.
    #[schemars(extend("x-tenon-service" = true))]
    pub service: String,
    /// Security definitions, any of which lets a request in. An empty list lets in everybody.
    #[serde(default)]
    #[schemars(extend("x-tenon-reference" = ["api-key", "basic-auth", "jwt", "mutual-tls", "security-group"]))]
    pub security: Vec<String>,
    /// The `rate-limit` object that says how many requests may come.
    #[schemars(extend("x-tenon-reference" = ["rate-limit"]))]
    pub rate_limit: Option<String>,
    /// How the body of a request is read, and what answers are by default.
    #[serde(default)]
    pub data_format: DataFormat,
    /// How CSV is read and written.
    pub csv: Option<CsvConfig>,
    /// The media type of answers of a service that sets none; without it the data format decides.
    pub content_type: Option<String>,
    /// How long the service may take before the caller is answered with 504.
    #[serde(default = "one_minute")]
    pub timeout: DurationText,
    /// How large the body of a request may be, in bytes, after it was inflated; more is answered with 413. Without it 10 MiB,
    /// or no limit for a channel that streams.
    #[schemars(range(max = 67_108_864_u64))]
    pub body_limit_bytes: Option<u64>,
    /// Whether parameters of the path, the query string and a form become part of the service's input.
    #[serde(default = "yes")]
    pub merge_params: bool,
    /// Which wins if the path and the query string both have a parameter.
    #[serde(default)]
    pub url_params_pri: UrlParamsPriority,
    /// Which wins if a parameter and the body both have an element.
    #[serde(default)]
    pub params_pri: ParamsPriority,
    /// Whether answers are compressed with gzip or brotli for callers who accept it. Compressed requests are always accepted.
    #[serde(default = "yes")]
    pub compression: bool,
    /// Whether the request's body is handed to the service piece by piece, without being read or checked before.
    #[serde(default)]
    pub stream: bool,
    /// How errors are written that don't come from the service itself.
    #[serde(default)]
    pub errors: ErrorFormat,
    /// Pages of which other origins browsers let call the channel.
    pub cors: Option<CorsConfig>,
    /// Keeps answers, and gives them to the same requests without calling the service.
    pub cache: Option<CacheConfig>,
    /// Whether a request that is repeated with the same `Idempotency-Key` gets the first answer again. `true` keeps answers
    /// for a day.
    #[serde(default)]
    pub idempotency_key: IdempotencyKey,
    /// Tells callers that they should not use it any more.
    pub deprecated: Option<DeprecatedConfig>,
    /// Whether it is in the OpenAPI document.
    #[serde(default = "yes")]
    pub include_in_openapi: bool,
}

/// Methods that a channel can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum HttpMethod {
    Get,
    Post,
    Put,
    Patch,
    Delete,
    Head,
    Options,
}

impl From<HttpMethod> for http::Method {
    fn from(method: HttpMethod) -> Self {
        match method {
            HttpMethod::Get => Self::GET,
            HttpMethod::Post => Self::POST,
            HttpMethod::Put => Self::PUT,
            HttpMethod::Patch => Self::PATCH,
            HttpMethod::Delete => Self::DELETE,
            HttpMethod::Head => Self::HEAD,
            HttpMethod::Options => Self::OPTIONS,
        }
    }
}

impl KindConfig for RestChannel {
    const NAME: &'static str = "rest-channel";
    const TITLE: &'static str = "REST channel";
    const GROUP: KindGroup = KindGroup::Channel;

    fn check(&self) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        self.check_path(&mut problems);
        if self.service.trim().is_empty() {
            problems.push(FieldProblem::new("service", "a channel needs the name of a service"));
        }
        if let Err(message) = self.accept.parse::<MediaRange>()
            && !has_variable(&self.accept)
        {
            problems.push(FieldProblem::new("accept", message));
        }
        check_timeout(&mut problems, "timeout", self.timeout, Duration::from_hours(1));
        if let Some(limit) = self.body_limit_bytes
            && !self.stream
        {
            check_body_limit(&mut problems, "body_limit_bytes", limit);
        }
        check_content_type(&mut problems, self.content_type.as_deref());
        if let Some(csv) = &self.csv
            && (!csv.delimiter.is_ascii() || matches!(csv.delimiter, '"' | '\r' | '\n'))
        {
            problems.push(FieldProblem::new(
                "csv.delimiter",
                "must be one ASCII character, no quote",
            ));
        }
        if let Some(cors) = &self.cors {
            cors.check(&mut problems);
        }
        if let Some(cache) = &self.cache {
            cache.check(self.stream, &mut problems);
        }
        self.check_idempotency(&mut problems);
        if let Some(deprecated) = &self.deprecated {
            deprecated.check(&mut problems);
        }
        problems
    }
}

impl RestChannel {
    fn check_path(&self, problems: &mut Vec<FieldProblem>) {
        if has_variable(&self.path) {
            return;
        }
        if let Err(error) = self.path.parse::<PathPattern>() {
            problems.push(FieldProblem::new("path", error.to_string()));
        }
        if self.path == "/tenon" || self.path.starts_with("/tenon/") {
            problems.push(FieldProblem::new("path", "paths below /tenon/ are the platform's own"));
        }
    }

    fn check_idempotency(&self, problems: &mut Vec<FieldProblem>) {
        let Some(ttl) = self.idempotency_key.ttl() else { return };
        check_timeout(problems, "idempotency_key.ttl", ttl, Duration::from_hours(24 * 30));
        if self.stream {
            problems.push(FieldProblem::new(
                "idempotency_key",
                "a channel that streams can't compare requests; leave out one of both",
            ));
        }
    }
}

fn any_media_type() -> String {
    "*/*".to_owned()
}

fn one_minute() -> DurationText {
    DurationText::from_secs(60)
}
