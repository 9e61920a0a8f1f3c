//! The kind `jwt` as users see it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenon_model::{DurationText, FieldProblem, KindConfig, KindGroup, Secret};

use super::keys::{Algorithm, PublicKey};
use crate::security::basic_auth::{check_realm, default_realm};

/// The longest time by which the clocks of issuer and server may differ.
const LEEWAY_MAX: Duration = Duration::from_mins(10);

/// Signed tokens (JWT, RFC 7519) that are sent as `Authorization: Bearer`. Exactly one of `secret`, `public_key` and `jwks_url`
/// says what they are checked with.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtConfig {
    /// The algorithms that are accepted. What a token says of itself is never believed beyond this list; `none` does not exist.
    pub algorithms: Vec<Algorithm>,
    /// The secret that issuer and server share, for HS256, HS384 and HS512: at least 32 bytes.
    pub secret: Option<Secret>,
    /// The issuer's public key or certificate in PEM, for all other algorithms.
    pub public_key: Option<String>,
    /// The address of the issuer's keys (a JSON Web Key Set), for all other algorithms.
    pub jwks_url: Option<String>,
    /// PEM file with the certificate authorities that are trusted when the keys are fetched, if not those of all connections.
    pub jwks_ca_file: Option<PathBuf>,
    /// How often the keys are fetched anew.
    #[serde(default = "fifteen_minutes")]
    pub jwks_refresh: DurationText,
    /// How long to wait at least before they are fetched again, because a token names a key that is not known or because the
    /// issuer did not answer.
    #[serde(default = "ten_seconds")]
    pub jwks_retry: DurationText,
    /// How long known keys are used while the issuer can't be reached.
    #[serde(default = "one_day")]
    pub jwks_stale_max: DurationText,
    /// What the claim `iss` must be; without it any issuer whose key fits is accepted.
    pub issuer: Option<String>,
    /// What the claim `aud` must hold one of; empty: it is not looked at.
    #[serde(default)]
    pub audience: Vec<String>,
    /// By how much the issuer's clock may differ, when `exp`, `nbf` and `iat` are checked.
    #[serde(default = "half_minute")]
    pub leeway: DurationText,
    /// Whether a token without `exp` is refused.
    #[serde(default = "yes")]
    pub require_expiry: bool,
    /// Claims that a token must have, by name: a value, a list of which it must be one, or null for any value. A claim that is a
    /// list fits if one of its items does; dots lead into objects (`realm_access.roles`). A token without them is valid but
    /// not allowed: 403.
    #[serde(default)]
    pub required_claims: BTreeMap<String, Value>,
    /// Scopes that must all be in the claim `scope` (or `scp`); without them 403.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The claim that names the caller.
    #[serde(default = "sub")]
    pub subject_claim: String,
    /// What callers are told to get a token for.
    #[serde(default = "default_realm")]
    pub realm: String,
    /// The `rate-limit` object that says how many requests may come with tokens of this definition.
    #[schemars(extend("x-tenon-reference" = ["rate-limit"]))]
    pub rate_limit: Option<String>,
}

impl KindConfig for JwtConfig {
    const NAME: &'static str = "jwt";
    const TITLE: &'static str = "Bearer token (JWT)";
    const GROUP: KindGroup = KindGroup::Security;

    fn check(&self) -> Vec<FieldProblem> {
        let mut problems = self.check_keys();
        if self.algorithms.is_empty() {
            problems.push(FieldProblem::new(
                "algorithms",
                "name at least one algorithm, such as RS256",
            ));
        }
        if self.leeway.0 > LEEWAY_MAX {
            problems.push(FieldProblem::new("leeway", "at most 10m"));
        }
        let shortest = [
            ("jwks_refresh", self.jwks_refresh, Duration::from_secs(1)),
            ("jwks_retry", self.jwks_retry, Duration::from_millis(100)),
        ];
        for (field, value, least) in shortest {
            if value.0 < least || value.0 > Duration::from_hours(24) {
                let least = DurationText(least);
                problems.push(FieldProblem::new(field, format!("must be {least} to 1d")));
            }
        }
        if self.subject_claim.is_empty() {
            problems.push(FieldProblem::new("subject_claim", "a claim has a name"));
        }
        problems.extend(check_realm(&self.realm));
        problems
    }
}

impl JwtConfig {
    fn check_keys(&self) -> Vec<FieldProblem> {
        let given = [
            ("secret", self.secret.is_some()),
            ("public_key", self.public_key.is_some()),
            ("jwks_url", self.jwks_url.is_some()),
        ];
        let given: Vec<&str> = given.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
        if given.len() != 1 {
            return vec![FieldProblem::new(
                given.first().copied().unwrap_or("public_key"),
                "give exactly one of secret, public_key and jwks_url",
            )];
        }
        let mut problems = Vec::new();
        let is_shared = self.secret.is_some();
        if let Some(wrong) = self
            .algorithms
            .iter()
            .find(|algorithm| algorithm.is_shared() != is_shared)
        {
            let message = if is_shared {
                format!("{wrong} needs a public key; a secret is for HS256, HS384 and HS512")
            } else {
                format!("{wrong} needs a secret; a public key used as one would let anybody sign")
            };
            problems.push(FieldProblem::new("algorithms", message));
        }
        if let Some(secret) = &self.secret {
            let text = secret.reveal();
            let is_reference = text.starts_with("secret:") || text.starts_with("sealed:") || text.contains("${");
            if text.len() < 32 && !is_reference {
                problems.push(FieldProblem::new(
                    "secret",
                    "at least 32 bytes; a shorter one can be found by trying",
                ));
            }
        }
        if let Some(pem) = self.public_key.as_deref().filter(|pem| !pem.contains("${")) {
            match PublicKey::from_pem(pem) {
                Err(reason) => problems.push(FieldProblem::new("public_key", reason)),
                Ok(key) => {
                    let unfit = self.algorithms.iter().find(|algorithm| !key.fits(**algorithm));
                    problems.extend(unfit.map(|algorithm| {
                        FieldProblem::new("public_key", format!("the key is not one for {algorithm}"))
                    }));
                }
            }
        }
        if let Some(url) = self.jwks_url.as_deref().filter(|url| !url.contains("${"))
            && !url.starts_with("https://")
            && !url.starts_with("http://")
        {
            problems.push(FieldProblem::new("jwks_url", "a URL begins with https:// or http://"));
        }
        problems
    }
}

fn yes() -> bool {
    true
}

fn sub() -> String {
    "sub".to_owned()
}

fn ten_seconds() -> DurationText {
    DurationText::from_secs(10)
}

fn half_minute() -> DurationText {
    DurationText::from_secs(30)
}

fn fifteen_minutes() -> DurationText {
    DurationText::from_secs(15 * 60)
}

fn one_day() -> DurationText {
    DurationText::from_secs(24 * 3600)
}
