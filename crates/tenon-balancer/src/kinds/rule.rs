//! The kind `balancer-rule`: what happens to some requests before a server sees them.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenon_model::{DurationText, FieldProblem, KindConfig, KindGroup};
use tenon_protocol::control::BALANCER_RULE_KIND;

use super::checks::{Problems, check_path, is_host_pattern, is_token};

/// What the load balancer does with the requests that match, before a server sees them. Rules are looked at by their order; all
/// that match apply, until one lets in, denies or redirects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// Its place among the rules: lower ones come first; rules of one place are looked at by name.
    #[serde(default)]
    pub order: i32,
    /// Whether it is looked at.
    #[serde(default = "yes")]
    pub is_active: bool,
    /// Which requests match: all that is given must hold. Empty: every request.
    #[serde(default, rename = "match")]
    pub matches: RuleMatch,
    /// What happens to them: exactly one.
    pub action: ActionConfig,
}

/// Which requests match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RuleMatch {
    /// Paths, any of which the request has: as REST channels write them (`/customers/{id}`), or all that begin like this
    /// (`/reports/*`). Empty: any.
    pub paths: Vec<String>,
    /// Methods, any of which the request has. Empty: any.
    pub methods: Vec<RuleMethod>,
    /// Hosts, any of which the request names, such as `api.example.com` or `*.example.com`; ports are not compared. Empty: any.
    pub hosts: Vec<String>,
    /// Headers that the request has, with the value that is given, or any value for `*`. Empty: any.
    pub headers: BTreeMap<String, String>,
    /// Addresses and networks, such as `10.0.0.0/8`, in any of which the client's address is. Empty: any.
    pub addresses: Vec<String>,
}

/// A method of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum RuleMethod {
    /// Reads.
    Get,
    /// Reads the head.
    Head,
    /// Does something.
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
    /// Asks what is possible.
    Options,
}

impl RuleMethod {
    /// The method as HTTP writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }
}

/// What happens to requests that match. Exactly one is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ActionConfig {
    /// They are let in, and no further rule is looked at.
    #[serde(skip_serializing_if = "is_false")]
    pub allow: bool,
    /// They are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deny: Option<DenyAction>,
    /// Only so many are let in in a time; others are answered with 429 and `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimitAction>,
    /// Only so many are let in at the same time; others wait, and are answered with 503 and `Retry-After` in the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<ConcurrencyAction>,
    /// They are sent to another address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect: Option<RedirectAction>,
    /// Headers are set or removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_header: Option<SetHeaderAction>,
    /// They have limits of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsAction>,
}

/// Refuses requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DenyAction {
    /// The status of the answer.
    #[schemars(range(min = 400, max = 599))]
    pub status: u16,
    /// How long the answer takes, to slow down who tries again and again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<DurationText>,
}

impl Default for DenyAction {
    fn default() -> Self {
        Self {
            status: 403,
            delay: None,
        }
    }
}

/// Lets in so many requests in a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimitAction {
    /// How many requests, in the long run.
    #[schemars(range(min = 1))]
    pub requests: u32,
    /// In which time.
    #[serde(default)]
    pub per: TimeUnit,
    /// How many may come at once after a time with few; without it as many as `requests`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// Who shares the number: requests of one `address`, with one value of a header (`header:X-Api-Key`), to one `path`, to one
    /// `host`, or `all`.
    #[serde(default = "address")]
    pub by: String,
}

/// A unit of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TimeUnit {
    /// A second.
    #[default]
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
}

impl TimeUnit {
    /// Its length.
    pub const fn duration(self) -> Duration {
        match self {
            Self::Second => Duration::from_secs(1),
            Self::Minute => Duration::from_mins(1),
            Self::Hour => Duration::from_hours(1),
        }
    }
}

/// Lets in so many requests at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConcurrencyAction {
    /// How many requests have been let in and not been answered, at most.
    #[schemars(range(min = 1))]
    pub max: u32,
    /// How many more wait for their turn, at most.
    #[serde(default)]
    pub queue_max: u32,
    /// How long one waits at most.
    #[serde(default = "five_seconds")]
    pub queue_timeout: DurationText,
}

/// Sends requests to another address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedirectAction {
    /// Where to: an address or a path, in which `{host}`, `{path}` and `{query}` (with its `?`, if there is one) stand for those
    /// of the request, such as `https://www.example.com{path}{query}`.
    pub to: String,
    /// The status of the answer: 301, 302, 303, 307 or 308.
    #[serde(default = "permanent")]
    pub status: u16,
}

/// Sets or removes headers. An empty value removes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SetHeaderAction {
    /// Headers of the request, as the server gets it.
    pub request: BTreeMap<String, String>,
    /// Headers of the answer, as the client gets it.
    pub response: BTreeMap<String, String>,
}

/// Limits of their own for requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsAction {
    /// Bytes of a body at most; more are answered with 413.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_bytes_max: Option<u64>,
    /// How long a server may take from the end of the request to the head of its answer; then it is answered with 504.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_timeout: Option<DurationText>,
}

/// What a rule does, as one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleAction {
    /// Lets in and ends the rules.
    Allow,
    /// Refuses.
    Deny(DenyAction),
    /// Lets in so many in a time.
    RateLimit(RateLimitAction),
    /// Lets in so many at the same time.
    Concurrency(ConcurrencyAction),
    /// Sends elsewhere.
    Redirect(RedirectAction),
    /// Sets headers.
    SetHeader(SetHeaderAction),
    /// Limits.
    Limits(LimitsAction),
}

impl ActionConfig {
    /// The action that is given; none if it is not exactly one.
    pub fn only(&self) -> Option<RuleAction> {
        let mut given = [
            self.allow.then_some(RuleAction::Allow),
            self.deny.clone().map(RuleAction::Deny),
            self.rate_limit.clone().map(RuleAction::RateLimit),
            self.concurrency.clone().map(RuleAction::Concurrency),
            self.redirect.clone().map(RuleAction::Redirect),
            self.set_header.clone().map(RuleAction::SetHeader),
            self.limits.clone().map(RuleAction::Limits),
        ]
        .into_iter()
        .flatten();
        let first = given.next();
        if given.next().is_some() { None } else { first }
    }
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

fn address() -> String {
    "address".to_owned()
}

const fn five_seconds() -> DurationText {
    DurationText::from_secs(5)
}

const fn permanent() -> u16 {
    308
}

const DELAY_MAX: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_hours(1);

impl KindConfig for RuleConfig {
    const NAME: &'static str = BALANCER_RULE_KIND;
    const TITLE: &'static str = "Rule";
    const GROUP: KindGroup = KindGroup::LoadBalancer;

    fn check(&self) -> Vec<FieldProblem> {
        let mut problems = Problems::default();
        self.matches.check(&mut problems);
        match self.action.only() {
            None => problems.add(
                "action",
                "give exactly one of allow, deny, rate_limit, concurrency, redirect, set_header and limits",
            ),
            Some(action) => action.check(&mut problems),
        }
        problems.into()
    }
}

impl RuleMatch {
    fn check(&self, problems: &mut Problems) {
        for (index, path) in self.paths.iter().enumerate() {
            if let Err(message) = check_path(path) {
                problems.add(format!("match.paths[{index}]"), message);
            }
        }
        for (index, host) in self.hosts.iter().enumerate() {
            problems.add_if(
                !is_host_pattern(host),
                format!("match.hosts[{index}]"),
                "a host is a name or an address such as api.example.com or *.example.com",
            );
        }
        for name in self.headers.keys() {
            problems.add_if(
                !is_token(name),
                format!("match.headers.{name}"),
                "the name of a header is letters, digits and dashes",
            );
        }
        problems.networks("match.addresses", &self.addresses);
    }
}

impl RuleAction {
    fn check(&self, problems: &mut Problems) {
        match self {
            Self::Allow => {}
            Self::Deny(deny) => {
                problems.add_if(!(400..=599).contains(&deny.status), "action.deny.status", "400 to 599");
                problems.duration("action.deny.delay", deny.delay, DELAY_MAX);
            }
            Self::RateLimit(limit) => {
                problems.add_if(limit.requests == 0, "action.rate_limit.requests", "at least 1");
                problems.add_if(limit.burst == Some(0), "action.rate_limit.burst", "at least 1");
                let is_known = match limit.by.split_once(':') {
                    Some(("header", name)) => is_token(name),
                    Some(_) => false,
                    None => ["address", "path", "host", "all"].contains(&limit.by.as_str()),
                };
                problems.add_if(
                    !is_known,
                    "action.rate_limit.by",
                    "address, path, host, all, or header: and the name of a header",
                );
            }
            Self::Concurrency(limit) => {
                problems.add_if(limit.max == 0, "action.concurrency.max", "at least 1");
                problems.add_if(
                    limit.queue_max > 100_000,
                    "action.concurrency.queue_max",
                    "at most 100000",
                );
                problems.duration("action.concurrency.queue_timeout", Some(limit.queue_timeout), HOUR);
            }
            Self::Redirect(redirect) => redirect.check(problems),
            Self::SetHeader(headers) => headers.check(problems),
            Self::Limits(limits) => {
                problems.add_if(
                    limits.body_bytes_max.is_none() && limits.request_timeout.is_none(),
                    "action.limits",
                    "give body_bytes_max, request_timeout or both",
                );
                problems.duration("action.limits.request_timeout", limits.request_timeout, HOUR);
            }
        }
    }
}

impl RedirectAction {
    fn check(&self, problems: &mut Problems) {
        let is_address = ["http://", "https://", "/"]
            .iter()
            .any(|start| self.to.starts_with(start));
        let is_plain = self.to.chars().all(|c| c.is_ascii_graphic());
        problems.add_if(
            !is_address || !is_plain,
            "action.redirect.to",
            "an address that begins with http://, https:// or /, without spaces",
        );
        problems.add_if(
            ![301, 302, 303, 307, 308].contains(&self.status),
            "action.redirect.status",
            "301, 302, 303, 307 or 308",
        );
    }
}

impl SetHeaderAction {
    fn check(&self, problems: &mut Problems) {
        problems.add_if(
            self.request.is_empty() && self.response.is_empty(),
            "action.set_header",
            "give headers of the request, of the response, or both",
        );
        for (side, headers) in [("request", &self.request), ("response", &self.response)] {
            for (name, value) in headers {
                let at = format!("action.set_header.{side}.{name}");
                problems.header_to_set(&at, name);
                problems.add_if(
                    value.chars().any(|c| c.is_control() || !c.is_ascii()),
                    at,
                    "a value is ASCII text without control characters",
                );
            }
        }
    }
}
