//! `crypto`: encryption with the cluster's key, and hashes of secrets. The key never leaves the server.

use argon2::password_hash::{PasswordHash, PasswordVerifier, SaltString};
use argon2::{Argon2, PasswordHasher};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{Host, HostFailure, HostResult, described, needed, text};
use crate::call::{HostCall, HostReturn};

/// How many random bytes the salt of a hash has.
const SALT_BYTES: usize = 16;

impl Host {
    /// One action on some data.
    pub(super) async fn crypto(&self, call: HostCall) -> HostResult {
        match needed(&call.request, "action")? {
            "encrypt" => {
                let encrypted = self.secrets.key.encrypt(&call.body, &*self.secrets.random);
                Ok(with_body(Value::Null, encrypted.into()))
            }
            "decrypt" => {
                let text = std::str::from_utf8(&call.body).unwrap_or_default();
                let plain = self.secrets.key.decrypt(text.trim());
                let wrong = |error: crate::security::ClusterKeyError| HostFailure::bad_request(error.to_string());
                Ok(with_body(Value::Null, plain.map_err(wrong)?.into()))
            }
            "hash" => {
                let mut salt = [0_u8; SALT_BYTES];
                self.secrets.random.fill(&mut salt);
                let hash = self.hashing(move || hash(&call.body, &salt)).await??;
                Ok(with_body(Value::Null, hash.into()))
            }
            "verify" => {
                let expected = text(&call.request, "hash").unwrap_or_default().to_owned();
                let matches = self.hashing(move || matches(&call.body, &expected)).await?;
                Ok(described(json!({ "matches": matches })))
            }
            other => Err(HostFailure::bad_request(format!("there is no action '{other}'"))),
        }
    }

    /// Hashing takes tens of milliseconds of a core, on purpose: beside the threads that serve, and not many at a time.
    async fn hashing<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, HostFailure> {
        let failed = || HostFailure::new(503, "ServiceUnavailable", "the server stops");
        let _place = self.hashes.acquire().await.map_err(|_| failed())?;
        tokio::task::spawn_blocking(work).await.map_err(|_| failed())
    }
}

fn with_body(tail: Value, body: Bytes) -> HostReturn {
    HostReturn {
        code: 0,
        tail,
        body_is_json: false,
        body,
    }
}

fn hash(secret: &[u8], salt: &[u8]) -> Result<String, HostFailure> {
    let failed =
        |error: argon2::password_hash::Error| HostFailure::bad_request(format!("no hash can be made: {error}"));
    let salt = SaltString::encode_b64(salt).map_err(failed)?;
    let hash = Argon2::default().hash_password(secret, &salt).map_err(failed)?;
    Ok(hash.to_string())
}

fn matches(secret: &[u8], expected: &str) -> bool {
    PasswordHash::new(expected).is_ok_and(|expected| Argon2::default().verify_password(secret, &expected).is_ok())
}
