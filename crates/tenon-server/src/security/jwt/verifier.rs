//! Whether a token is one that a definition accepts.

use std::sync::Arc;

use serde_json::{Map, Value};
use tenon_model::{Clock, Secret};

use super::config::JwtConfig;
use super::key_set::{KeySet, KeySets};
use super::keys::PublicKey;
use super::token::Token;

/// Why a token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::security) enum Denied {
    /// It is not one of this definition's tokens, or not valid any more. Says why, in words that may be shown.
    Invalid(&'static str),
    /// It is valid, but what it claims is not enough.
    NotAllowed,
    /// The issuer's keys can't be had.
    NoKeys,
}

/// Checks the tokens of one definition.
#[derive(Debug)]
pub(in crate::security) struct JwtVerifier {
    config: JwtConfig,
    keys: Keys,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
enum Keys {
    Fixed(PublicKey),
    Remote(Arc<KeySet>),
}

impl JwtVerifier {
    /// The verifier of a definition; the error is a sentence.
    pub(in crate::security) fn new(
        config: JwtConfig,
        sets: &mut KeySets,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let keys = match (&config.secret, &config.public_key, &config.jwks_url) {
            (Some(secret), None, None) => Keys::Fixed(PublicKey::Shared(Secret::reveal(secret).as_bytes().to_vec())),
            (None, Some(pem), None) => Keys::Fixed(PublicKey::from_pem(pem)?),
            (None, None, Some(url)) => Keys::Remote(sets.get(url, &config)?),
            _ => return Err("give exactly one of secret, public_key and jwks_url".to_owned()),
        };
        Ok(Self { config, keys, clock })
    }

    /// What tokens of this definition are asked for with.
    pub(in crate::security) fn realm(&self) -> &str {
        &self.config.realm
    }

    /// The issuer whose tokens it takes; none if any.
    pub(in crate::security) fn issuer(&self) -> Option<&str> {
        self.config.issuer.as_deref()
    }

    /// Scopes that tokens must have, for the challenge.
    pub(in crate::security) fn scopes(&self) -> &[String] {
        &self.config.scopes
    }

    /// Checks a token; gives the caller's name.
    pub(in crate::security) async fn verify(&self, token: &Token<'_>) -> Result<String, Denied> {
        if !self.config.algorithms.contains(&token.algorithm) {
            return Err(Denied::Invalid("the token's algorithm is not accepted"));
        }
        self.check_signature(token).await?;
        self.check_times(&token.claims)?;
        self.check_parties(&token.claims)?;
        self.check_rights(&token.claims)?;
        let subject = token.claims.get(&self.config.subject_claim);
        Ok(match subject {
            Some(Value::String(name)) => name.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        })
    }

    async fn check_signature(&self, token: &Token<'_>) -> Result<(), Denied> {
        let is_signed = match &self.keys {
            Keys::Fixed(key) => token.is_signed_with(key),
            Keys::Remote(set) => {
                let keys = set.find(token.key_id.as_deref(), token.algorithm).await?;
                keys.iter().any(|key| token.is_signed_with(key))
            }
        };
        if is_signed {
            Ok(())
        } else {
            Err(Denied::Invalid("the token's signature is wrong"))
        }
    }

    fn check_times(&self, claims: &Map<String, Value>) -> Result<(), Denied> {
        let now = float(self.clock.now().as_millis()) / 1000.0;
        let leeway = self.config.leeway.0.as_secs_f64();
        match date(claims, "exp")? {
            Some(end) if now >= end + leeway => return Err(Denied::Invalid("the token has expired")),
            None if self.config.require_expiry => {
                return Err(Denied::Invalid("the token does not say when it expires"));
            }
            _ => {}
        }
        for (name, reason) in [
            ("nbf", "the token is not valid yet"),
            ("iat", "the token was issued in the future"),
        ] {
            if date(claims, name)?.is_some_and(|begin| now + leeway < begin) {
                return Err(Denied::Invalid(reason));
            }
        }
        Ok(())
    }

    fn check_parties(&self, claims: &Map<String, Value>) -> Result<(), Denied> {
        if let Some(issuer) = &self.config.issuer
            && claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err(Denied::Invalid("the token is from another issuer"));
        }
        let audience = &self.config.audience;
        let is_for = |value: &Value| {
            value
                .as_str()
                .is_some_and(|name| audience.iter().any(|known| known == name))
        };
        let is_ours = match claims.get("aud") {
            Some(Value::Array(names)) => names.iter().any(is_for),
            Some(name) => is_for(name),
            None => false,
        };
        if !audience.is_empty() && !is_ours {
            return Err(Denied::Invalid("the token is for another audience"));
        }
        Ok(())
    }

    fn check_rights(&self, claims: &Map<String, Value>) -> Result<(), Denied> {
        let scopes = claims.get("scope").or_else(|| claims.get("scp"));
        let has_scope = |wanted: &String| match scopes {
            Some(Value::String(all)) => all.split(' ').any(|scope| scope == wanted),
            Some(Value::Array(all)) => all.iter().any(|scope| scope.as_str() == Some(wanted)),
            _ => false,
        };
        let has_claim = |(name, wanted): (&String, &Value)| find(claims, name).is_some_and(|claim| fits(claim, wanted));
        if self.config.scopes.iter().all(has_scope) && self.config.required_claims.iter().all(has_claim) {
            Ok(())
        } else {
            Err(Denied::NotAllowed)
        }
    }
}

/// A claim by its whole name, or by the way to it through objects.
fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| {
        let (first, rest) = name.split_once('.')?;
        find(claims.get(first)?.as_object()?, rest)
    })
}

fn fits(claim: &Value, wanted: &Value) -> bool {
    let is_one = |claim: &Value| match wanted {
        Value::Null => true,
        Value::Array(any) => any.contains(claim),
        one => one == claim,
    };
    match claim {
        Value::Array(items) => wanted == claim || items.iter().any(is_one),
        claim => is_one(claim),
    }
}

/// A point in time (`NumericDate`) in seconds since 1970.
fn date(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, Denied> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value
            .as_f64()
            .map(Some)
            .ok_or(Denied::Invalid("a time in the token is not a number")),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "times of tokens are seconds; f64 holds them for millions of years"
)]
fn float(millis: i64) -> f64 {
    millis as f64
}
