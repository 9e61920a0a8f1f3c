//! The kind `basic-auth`: a user name and a password in the header `Authorization` (RFC 7617).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenon_model::{FieldProblem, KindConfig, KindGroup, Secret};

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
    /// The `rate-limit` object that says how many requests may come with these credentials.
    #[schemars(extend("x-tenon-reference" = ["rate-limit"]))]
    pub rate_limit: Option<String>,
}

pub(super) fn default_realm() -> String {
    "Tenon".to_owned()
}

/// What is wrong with a realm, which stands between quotes in a challenge.
pub(super) fn check_realm(realm: &str) -> Option<FieldProblem> {
    let is_wrong = realm.contains(['"', '\\']) || realm.chars().any(char::is_control) || !realm.is_ascii();
    is_wrong.then(|| {
        FieldProblem::new(
            "realm",
            "a realm is ASCII text without quotes, backslashes and control characters",
        )
    })
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
        problems.extend(check_realm(&self.realm));
        problems
    }
}

/// `user:password` of a request, if it has such credentials that can be read.
pub(super) fn sent_by(headers: &HeaderMap) -> Option<Vec<u8>> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, encoded) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    STANDARD.decode(encoded.trim_ascii()).ok()
}
