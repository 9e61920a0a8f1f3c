//! The kinds of security definitions: `basic-auth` and `api-key`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenon_connectors::Credentials;
use tenon_model::{FieldProblem, Kind, KindConfig, KindGroup, Secret};

/// Every kind of security definition.
pub fn kinds() -> Vec<Kind> {
    vec![Kind::of::<BasicAuthConfig>(), Kind::of::<ApiKeyConfig>()]
}

/// A user name and a password, sent as HTTP Basic authentication (RFC 7617).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuthConfig {
    /// The user's name, without a colon.
    pub username: String,
    /// The password.
    pub password: Secret,
    /// What the user is told to log in to.
    #[serde(default = "default_realm")]
    pub realm: String,
}

fn default_realm() -> String {
    "Tenon".to_owned()
}

impl KindConfig for BasicAuthConfig {
    const NAME: &'static str = "basic-auth";
    const TITLE: &'static str = "Basic authentication";
    const GROUP: KindGroup = KindGroup::Security;

    fn check(&self) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        if self.username.is_empty() || self.username.contains(':') {
            problems.push(FieldProblem::new(
                "username",
                "a user name is not empty and has no colon",
            ));
        }
        if self.password.reveal().is_empty() {
            problems.push(FieldProblem::new("password", "a password is not empty"));
        }
        if self.realm.contains(['"', '\\']) || self.realm.chars().any(char::is_control) {
            problems.push(FieldProblem::new(
                "realm",
                "a realm has no quotes, backslashes or control characters",
            ));
        }
        problems
    }
}

/// A key that a client sends in a header.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyConfig {
    /// The key.
    pub key: Secret,
    /// The header that carries it.
    #[serde(default = "default_header")]
    pub header: String,
}

fn default_header() -> String {
    "X-API-Key".to_owned()
}

impl KindConfig for ApiKeyConfig {
    const NAME: &'static str = "api-key";
    const TITLE: &'static str = "API key";
    const GROUP: KindGroup = KindGroup::Security;

    fn check(&self) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        if self.key.reveal().is_empty() {
            problems.push(FieldProblem::new("key", "a key is not empty"));
        }
        if http::HeaderName::try_from(self.header.as_str()).is_err() {
            problems.push(FieldProblem::new(
                "header",
                format!("'{}' is not the name of a header", self.header),
            ));
        }
        problems
    }
}

/// A security definition with its secrets resolved.
#[derive(Debug, Clone)]
pub enum Definition {
    /// HTTP Basic authentication.
    BasicAuth(BasicAuthConfig),
    /// A key in a header.
    ApiKey(ApiKeyConfig),
}

impl Definition {
    /// The definition of an object with a resolved body; none if its kind is no security definition or its body is wrong.
    pub fn of(kind: &str, resolved: &Value) -> Option<Self> {
        match kind {
            BasicAuthConfig::NAME => serde_json::from_value(resolved.clone()).ok().map(Definition::BasicAuth),
            ApiKeyConfig::NAME => serde_json::from_value(resolved.clone()).ok().map(Definition::ApiKey),
            _ => None,
        }
    }

    /// What an outgoing connection sends to prove who it is.
    pub fn credentials(&self) -> Credentials {
        match self {
            Definition::BasicAuth(config) => Credentials::Basic {
                username: config.username.clone(),
                password: config.password.clone(),
            },
            Definition::ApiKey(config) => Credentials::Header {
                name: config.header.clone(),
                value: config.key.clone(),
            },
        }
    }
}
