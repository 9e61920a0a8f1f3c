//! Algorithms, keys, and the check of a signature.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::der::{self, RawKey};

/// How a token is signed (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
    /// RSA (PKCS #1 v1.5) with SHA-256.
    RS256,
    /// RSA (PKCS #1 v1.5) with SHA-384.
    RS384,
    /// RSA (PKCS #1 v1.5) with SHA-512.
    RS512,
    /// RSA-PSS with SHA-256.
    PS256,
    /// RSA-PSS with SHA-384.
    PS384,
    /// RSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Ed25519.
    EdDSA,
}

impl Algorithm {
    const ALL: [(&'static str, Self); 12] = [
        ("HS256", Self::HS256),
        ("HS384", Self::HS384),
        ("HS512", Self::HS512),
        ("RS256", Self::RS256),
        ("RS384", Self::RS384),
        ("RS512", Self::RS512),
        ("PS256", Self::PS256),
        ("PS384", Self::PS384),
        ("PS512", Self::PS512),
        ("ES256", Self::ES256),
        ("ES384", Self::ES384),
        ("EdDSA", Self::EdDSA),
    ];

    /// The algorithm of this name, exactly as written in the standards.
    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, algorithm)| *algorithm)
    }

    /// Whether issuer and server share a secret.
    pub(super) const fn is_shared(self) -> bool {
        matches!(self, Self::HS256 | Self::HS384 | Self::HS512)
    }

    fn rsa(self) -> Option<&'static RsaParameters> {
        match self {
            Self::RS256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
            Self::RS384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
            Self::RS512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
            Self::PS256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
            Self::PS384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
            Self::PS512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
            _ => None,
        }
    }

    fn hmac(self) -> Option<hmac::Algorithm> {
        match self {
            Self::HS256 => Some(hmac::HMAC_SHA256),
            Self::HS384 => Some(hmac::HMAC_SHA384),
            Self::HS512 => Some(hmac::HMAC_SHA512),
            _ => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What a signature is checked with. A key serves the algorithms of its own type only, whatever a token says: this is what
/// keeps a public key from being taken for a shared secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum PublicKey {
    Shared(Vec<u8>),
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shared(_) => "Shared(***)",
            Self::Rsa { .. } => "Rsa",
            Self::P256(_) => "P256",
            Self::P384(_) => "P384",
            Self::Ed25519(_) => "Ed25519",
        })
    }
}

impl PublicKey {
    /// The key in a PEM text; the error is a sentence.
    pub(super) fn from_pem(text: &str) -> Result<Self, String> {
        let (label, bytes) =
            der::read_pem(text).ok_or("this is not PEM: a text between -----BEGIN …----- and -----END …-----")?;
        if label.contains("PRIVATE") {
            return Err("this is a private key; only its issuer should have it. Give the public one".to_owned());
        }
        let key = match der::read_key(&label, &bytes) {
            Some(RawKey::Rsa { modulus, exponent }) => Self::rsa(modulus, exponent),
            Some(RawKey::P256(point)) => Self::P256(point.to_vec()),
            Some(RawKey::P384(point)) => Self::P384(point.to_vec()),
            Some(RawKey::Ed25519(point)) => Self::Ed25519(point.to_vec()),
            None => return Err(format!("the {label} holds no RSA, P-256, P-384 or Ed25519 key")),
        };
        key.checked()
            .ok_or_else(|| "RSA keys have at least 2048 bits".to_owned())
    }

    fn rsa(modulus: &[u8], exponent: &[u8]) -> Self {
        let trimmed = |number: &[u8]| number[number.iter().take_while(|byte| **byte == 0).count()..].to_vec();
        Self::Rsa {
            modulus: trimmed(modulus),
            exponent: trimmed(exponent),
        }
    }

    fn checked(self) -> Option<Self> {
        let is_right = match &self {
            Self::Shared(_) => true,
            Self::Rsa { modulus, exponent } => modulus.len() >= 256 && !exponent.is_empty(),
            Self::P256(point) => point.len() == 65,
            Self::P384(point) => point.len() == 97,
            Self::Ed25519(point) => point.len() == 32,
        };
        is_right.then_some(self)
    }

    /// Whether signatures of this algorithm can be checked with this key.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        match self {
            Self::Shared(_) => algorithm.is_shared(),
            Self::Rsa { .. } => algorithm.rsa().is_some(),
            Self::P256(_) => algorithm == Algorithm::ES256,
            Self::P384(_) => algorithm == Algorithm::ES384,
            Self::Ed25519(_) => algorithm == Algorithm::EdDSA,
        }
    }

    /// Whether this key made the signature of a message, by this algorithm.
    pub(super) fn has_signed(&self, algorithm: Algorithm, message: &[u8], sign: &[u8]) -> bool {
        if !self.fits(algorithm) {
            return false;
        }
        let curve = |known: &'static dyn VerificationAlgorithm, point: &[u8]| {
            UnparsedPublicKey::new(known, point).verify(message, sign).is_ok()
        };
        match self {
            Self::Shared(secret) => algorithm
                .hmac()
                .is_some_and(|known| hmac::verify(&hmac::Key::new(known, secret), message, sign).is_ok()),
            Self::Rsa { modulus, exponent } => algorithm.rsa().is_some_and(|known| {
                let key = RsaPublicKeyComponents {
                    n: modulus,
                    e: exponent,
                };
                key.verify(known, message, sign).is_ok()
            }),
            Self::P256(point) => curve(&signature::ECDSA_P256_SHA256_FIXED, point),
            Self::P384(point) => curve(&signature::ECDSA_P384_SHA384_FIXED, point),
            Self::Ed25519(point) => curve(&signature::ED25519, point),
        }
    }
}

/// A key of a key set (RFC 7517).
#[derive(Debug, Clone)]
pub(super) struct NamedKey {
    /// Its id; none if it has none.
    pub(super) id: Option<String>,
    /// The only algorithm that it is for; none if the set does not say.
    pub(super) algorithm: Option<Algorithm>,
    pub(super) key: Arc<PublicKey>,
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// The keys of a key set that can be used. Those of other types and uses are passed over, as the standard asks for.
pub(super) fn read_key_set(bytes: &[u8]) -> Result<Vec<NamedKey>, String> {
    let set: JwkSet =
        serde_json::from_slice(bytes).map_err(|error| format!("it is not a JSON Web Key Set: {error}"))?;
    let keys: Vec<NamedKey> = set.keys.into_iter().filter_map(read_jwk).collect();
    if keys.is_empty() {
        return Err("it has no key that can be used (RSA, P-256, P-384 or Ed25519, for signatures)".to_owned());
    }
    Ok(keys)
}

fn read_jwk(value: serde_json::Value) -> Option<NamedKey> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    if jwk.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let verifies = |operations: &Vec<String>| operations.iter().any(|operation| operation == "verify");
    if !jwk.key_ops.as_ref().is_none_or(verifies) {
        return None;
    }
    let decoded = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?.trim_end_matches('=')).ok();
    let point = || {
        let (x, y) = (decoded(&jwk.x)?, decoded(&jwk.y)?);
        Some([&[4], x.as_slice(), y.as_slice()].concat())
    };
    let key = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => PublicKey::rsa(&decoded(&jwk.n)?, &decoded(&jwk.e)?),
        ("EC", Some("P-256")) => PublicKey::P256(point()?),
        ("EC", Some("P-384")) => PublicKey::P384(point()?),
        ("OKP", Some("Ed25519")) => PublicKey::Ed25519(decoded(&jwk.x)?),
        _ => return None,
    };
    let algorithm = match &jwk.alg {
        Some(name) => Some(Algorithm::of(name)?),
        None => None,
    };
    Some(NamedKey {
        id: jwk.kid,
        algorithm,
        key: Arc::new(key.checked()?),
    })
}
