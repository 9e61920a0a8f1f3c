//! A route of the server's HTTP listener as a value: which requests go to which service, and how.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::path::PathPattern;

/// A route of the server's HTTP listener: which requests go to which service, and how.
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRoute {
    /// The method; none takes any.
    pub method: Option<Method>,
    /// The path.
    pub path: PathPattern,
    /// What the channel answers with; a request that does not accept it goes elsewhere.
    pub accept: MediaRange,
    /// The service that is called.
    pub service: String,
    /// Names of the security objects any of which lets a request in; empty lets in everybody.
    pub security: Vec<String>,
    /// Name of the `rate-limit` object that says how many requests may come.
    pub rate_limit: Option<String>,
    /// How the request's body is read, and what answers are by default.
    pub data_format: DataFormat,
    /// How CSV is read and written.
    pub csv: CsvFormat,
    /// The media type of answers of a service that sets none; without it the data format decides.
    pub content_type: Option<String>,
    /// How long a service may take.
    pub timeout: Duration,
    /// How large a request's body may be, in bytes, after it was inflated; none only if it is streamed.
    pub body_limit_bytes: Option<u64>,
    /// Whether parameters of path, query string and form become part of the service's input.
    pub merge_params: bool,
    /// Which wins if path and query string both have a parameter.
    pub url_params_pri: UrlParamsPriority,
    /// Which wins if a parameter and the body both have an element.
    pub params_pri: ParamsPriority,
    /// Whether answers are compressed for callers who accept it.
    pub compression: bool,
    /// Whether the request's body is handed to the service piece by piece, unread.
    pub stream: bool,
    /// How errors are written.
    pub errors: ErrorFormat,
    /// What browsers are told about pages of other origins; none tells them nothing, so that they refuse.
    pub cors: Option<Cors>,
    /// How answers are kept; none keeps none.
    pub cache: Option<ResponseCache>,
    /// How long the first answer to an `Idempotency-Key` is kept; none does not look at that header.
    pub idempotency_ttl: Option<Duration>,
    /// What callers are told of the channel's end; none if it is not deprecated.
    pub deprecated: Option<Deprecation>,
    /// Whether the channel is in the OpenAPI document.
    pub include_in_openapi: bool,
}

impl HttpRoute {
    /// A route with the defaults of a channel: any method, JSON, open to everybody.
    pub fn new(path: PathPattern, service: impl Into<String>) -> Self {
        Self {
            method: None,
            path,
            accept: MediaRange::any(),
            service: service.into(),
            security: Vec::new(),
            rate_limit: None,
            data_format: DataFormat::Json,
            csv: CsvFormat::default(),
            content_type: None,
            timeout: Duration::from_mins(1),
            body_limit_bytes: Some(10 * 1024 * 1024),
            merge_params: true,
            url_params_pri: UrlParamsPriority::default(),
            params_pri: ParamsPriority::default(),
            compression: true,
            stream: false,
            errors: ErrorFormat::default(),
            cors: None,
            cache: None,
            idempotency_ttl: None,
            deprecated: None,
            include_in_openapi: true,
        }
    }

    /// What no two routes may share: method, media types, and the path with the names of its parameters left out.
    pub fn place(&self) -> String {
        let method = self.method.as_ref().map_or("*", Method::as_str);
        format!("{method} {} {}", self.accept, self.path.shape())
    }
}

/// How the body of a request is read, and what answers are by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DataFormat {
    /// JSON; a body that is not JSON is refused with 400.
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// Comma-separated values with a header line: a list of objects.
    Csv,
    /// XML as an object.
    Xml,
    /// Bytes, handed to the service as they are.
    Raw,
}

impl DataFormat {
    /// The format's name as services see it; empty for raw.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Form => "form",
            Self::Csv => "csv",
            Self::Xml => "xml",
            Self::Raw => "",
        }
    }
}

/// How CSV is read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CsvFormat {
    /// What stands between two fields.
    pub delimiter: u8,
    /// Whether the first line names the fields. Without it rows are lists, not objects.
    pub header: bool,
}

impl Default for CsvFormat {
    fn default() -> Self {
        Self {
            delimiter: b',',
            header: true,
        }
    }
}

/// Which wins if path and query string both have a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UrlParamsPriority {
    /// The query string.
    #[default]
    QueryOverPath,
    /// The path.
    PathOverQuery,
}

/// Which wins if a parameter and the body both have an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ParamsPriority {
    /// Parameters of path and query string.
    #[default]
    ParamsOverMessage,
    /// The body.
    MessageOverParams,
}

/// How errors are written that don't come from the service itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ErrorFormat {
    /// `application/problem+json` (RFC 9457).
    #[default]
    Problem,
    /// `{"result": "Error", "cid": …, "details": …}`, as callers of Zato know it.
    Zato,
}

/// What browsers are told about pages of other origins (CORS).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Origins whose pages may call: `https://app.example.com`, `https://*.example.com`, or `*` for all.
    pub origins: Vec<String>,
    /// Methods that they may use; empty: those that the path has.
    pub methods: Vec<Method>,
    /// Headers that they may send; `*` for all.
    pub headers: Vec<String>,
    /// Headers of answers that they may read.
    pub expose_headers: Vec<String>,
    /// Whether browsers send cookies and credentials along.
    pub credentials: bool,
    /// How long a browser may remember this.
    pub max_age: Duration,
}

/// How answers are kept.
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseCache {
    /// For how long.
    pub ttl: Duration,
    /// Whether callers with different credentials get the same answer.
    pub shared_across_callers: bool,
    /// Headers, in lower case, whose values make a difference.
    pub vary_by_headers: Vec<String>,
    /// Parameters of the query string that make none.
    pub ignored_query_parameters: Vec<String>,
    /// Whether the body makes a difference. Without it only GET and HEAD are answered from the cache.
    pub include_body_in_key: bool,
    /// The largest body that is kept, in bytes.
    pub max_body_bytes: u64,
    /// Whether an answer is kept only when the same request comes for the second time.
    pub on_second_request: bool,
    /// Whether answers carry a strong `ETag`, and `If-None-Match` is answered with 304.
    pub etag: bool,
    /// How long a request waits for the answer to the same request that is under way; zero: it does not.
    pub coalesce_timeout: Duration,
}

/// What callers are told of a channel's end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deprecation {
    /// Since when it should not be used, in seconds since 1970.
    pub since: Option<i64>,
    /// When it stops working, in seconds since 1970.
    pub sunset: Option<i64>,
    /// What to use in its place, as a URL or a path.
    pub successor: Option<String>,
}

/// A media type, or several: `application/json`, `text/*`, `*/*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MediaRange {
    /// Lower case; `*` stands for any.
    main: String,
    /// Lower case; `*` stands for any.
    sub: String,
}

impl MediaRange {
    /// `*/*`.
    pub fn any() -> Self {
        Self {
            main: "*".to_owned(),
            sub: "*".to_owned(),
        }
    }

    /// Whether it is `*/*`.
    pub fn is_any(&self) -> bool {
        self.main == "*"
    }

    /// How much it says: 0 for `*/*`, 1 for `text/*`, 2 for a type.
    pub fn specificity(&self) -> u8 {
        u8::from(self.main != "*") + u8::from(self.sub != "*")
    }

    /// Whether some type is in both.
    pub fn meets(&self, other: &Self) -> bool {
        let fits = |one: &str, other: &str| one == "*" || other == "*" || one == other;
        fits(&self.main, &other.main) && fits(&self.sub, &other.sub)
    }
}

impl FromStr for MediaRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_token = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
        };
        let (main, sub) = text
            .trim()
            .split_once('/')
            .filter(|(main, sub)| is_token(main) && is_token(sub) && (*main != "*" || *sub == "*"))
            .ok_or_else(|| format!("'{text}' is not a media type such as application/json or text/*"))?;
        Ok(Self {
            main: main.to_ascii_lowercase(),
            sub: sub.to_ascii_lowercase(),
        })
    }
}

impl fmt::Display for MediaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.main, self.sub)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_ranges_meet_where_a_type_is_in_both() {
        let range = |text: &str| text.parse::<MediaRange>().unwrap();
        assert!(range("application/json").meets(&range("Application/JSON")));
        assert!(range("text/*").meets(&range("text/csv")));
        assert!(range("text/csv").meets(&range("*/*")));
        assert!(!range("text/*").meets(&range("application/json")));
        assert_eq!(range("text/*").specificity(), 1);
        for wrong in ["", "json", "/", "*/json", "a/b/c", "a b/c"] {
            assert!(wrong.parse::<MediaRange>().is_err(), "{wrong}");
        }
    }
}
