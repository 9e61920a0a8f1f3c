//! Every kind of security definition, and a definition as a value.

use serde_json::Value;
use tenon_connectors::Credentials;
use tenon_model::{Kind, KindConfig};

use super::api_key::ApiKeyConfig;
use super::basic_auth::BasicAuthConfig;
use super::group::SecurityGroupConfig;
use super::jwt::JwtConfig;
use super::mutual_tls::MutualTlsConfig;

/// Every kind of security definition.
pub fn kinds() -> Vec<Kind> {
    vec![
        Kind::of::<BasicAuthConfig>(),
        Kind::of::<ApiKeyConfig>(),
        Kind::of::<JwtConfig>(),
        Kind::of::<MutualTlsConfig>(),
        Kind::of::<SecurityGroupConfig>(),
    ]
}

/// A security definition with its secrets resolved.
#[derive(Debug, Clone)]
pub(crate) enum Definition {
    /// HTTP Basic authentication.
    BasicAuth(BasicAuthConfig),
    /// A key in a header.
    ApiKey(ApiKeyConfig),
    /// A signed token.
    Jwt(Box<JwtConfig>),
    /// A client's certificate.
    MutualTls(MutualTlsConfig),
    /// Several of the others.
    Group(SecurityGroupConfig),
}

impl Definition {
    /// The definition of an object with a resolved body; none if its kind is no security definition or its body is wrong.
    pub(crate) fn of(kind: &str, resolved: &Value) -> Option<Self> {
        let body = resolved.clone();
        match kind {
            BasicAuthConfig::NAME => serde_json::from_value(body).ok().map(Self::BasicAuth),
            ApiKeyConfig::NAME => serde_json::from_value(body).ok().map(Self::ApiKey),
            JwtConfig::NAME => serde_json::from_value(body).ok().map(|jwt| Self::Jwt(Box::new(jwt))),
            MutualTlsConfig::NAME => serde_json::from_value(body).ok().map(Self::MutualTls),
            SecurityGroupConfig::NAME => serde_json::from_value(body).ok().map(Self::Group),
            _ => None,
        }
    }

    /// Its kind's name.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::BasicAuth(_) => BasicAuthConfig::NAME,
            Self::ApiKey(_) => ApiKeyConfig::NAME,
            Self::Jwt(_) => JwtConfig::NAME,
            Self::MutualTls(_) => MutualTlsConfig::NAME,
            Self::Group(_) => SecurityGroupConfig::NAME,
        }
    }

    /// The name of its rate limit.
    pub(crate) fn rate_limit(&self) -> Option<&str> {
        match self {
            Self::BasicAuth(config) => config.rate_limit.as_deref(),
            Self::ApiKey(config) => config.rate_limit.as_deref(),
            Self::Jwt(config) => config.rate_limit.as_deref(),
            Self::MutualTls(config) => config.rate_limit.as_deref(),
            Self::Group(config) => config.rate_limit.as_deref(),
        }
    }

    /// What an outgoing connection sends to prove who it is; none if the kind is for channels only.
    pub(crate) fn credentials(&self) -> Option<Credentials> {
        match self {
            Self::BasicAuth(config) => Some(Credentials::Basic {
                username: config.username.clone(),
                password: config.password.clone(),
            }),
            Self::ApiKey(config) => Some(Credentials::Header {
                name: config.header.clone(),
                value: config.key.clone(),
            }),
            Self::Jwt(_) | Self::MutualTls(_) | Self::Group(_) => None,
        }
    }
}
