//! A token in its parts (JWS compact serialisation, RFC 7515).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::keys::{Algorithm, PublicKey};

/// Tokens that are longer are not looked at.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// A token whose parts can be read; nothing of it is verified.
#[derive(Debug)]
pub(in crate::security) struct Token<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    /// What is signed.
    pub(super) message: &'a str,
    pub(super) sign: Vec<u8>,
    /// What it claims.
    pub(in crate::security) claims: Map<String, Value>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that whoever reads the token must understand: none are.
    crit: Option<Value>,
}

impl<'a> Token<'a> {
    /// Takes a token apart; none if it can't be one that is accepted, whoever signed it.
    pub(in crate::security) fn read(text: &'a str) -> Option<Self> {
        if text.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let (message, sign) = text.rsplit_once('.')?;
        let (header, payload) = message.split_once('.')?;
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let header: Header = serde_json::from_slice(&decoded(header)?).ok()?;
        if header.crit.is_some() {
            return None;
        }
        Some(Self {
            algorithm: Algorithm::of(&header.alg)?,
            key_id: header.kid,
            message,
            sign: decoded(sign)?,
            claims: serde_json::from_slice(&decoded(payload)?).ok()?,
        })
    }

    /// Whether this key made the token.
    pub(super) fn is_signed_with(&self, key: &PublicKey) -> bool {
        key.has_signed(self.algorithm, self.message.as_bytes(), &self.sign)
    }

    /// The issuer that the token names, to look for a definition that knows it.
    pub(in crate::security) fn claimed_issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }
}
