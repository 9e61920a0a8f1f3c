//! Encryption with the cluster's key, and hashes of passwords.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::HostError;
use crate::context::{Context, Payload};

impl Context {
    /// Encryption with the cluster's key, and hashes of passwords. The key never leaves the servers; what one server encrypts every
    /// other one can decrypt.
    ///
    /// ```
    /// # use tenon_sdk::{Context, Error};
    /// async fn log_in(ctx: Context, password: String) -> Result<bool, Error> {
    ///     let stored: String = ctx.cache("users").get("anna").await?.unwrap_or_default();
    ///     Ok(ctx.crypto().verify(&password, &stored).await?)
    /// }
    /// ```
    pub fn crypto(&self) -> Crypto {
        Crypto { context: self.clone() }
    }
}

/// Encryption and hashes. Made by [`Context::crypto`].
#[derive(Debug, Clone)]
pub struct Crypto {
    context: Context,
}

#[derive(Serialize)]
struct CryptoRequest<'a> {
    op: &'static str,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<&'a str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Described {
    matches: bool,
}

impl Crypto {
    /// Data, encrypted and authenticated, as text.
    pub async fn encrypt(&self, data: impl AsRef<[u8]>) -> Result<String, HostError> {
        self.ask("encrypt", data.as_ref()).await.map(|body| text(&body))
    }

    /// What was encrypted. An error if it was not encrypted by this cluster.
    pub async fn decrypt(&self, encrypted: impl AsRef<[u8]>) -> Result<Bytes, HostError> {
        self.ask("decrypt", encrypted.as_ref()).await
    }

    /// The argon2id hash of a password or another secret, to be stored in its place.
    pub async fn hash(&self, secret: impl AsRef<[u8]>) -> Result<String, HostError> {
        self.ask("hash", secret.as_ref()).await.map(|body| text(&body))
    }

    /// Whether a hash is that of a secret.
    pub async fn verify(&self, secret: impl AsRef<[u8]>, hash: &str) -> Result<bool, HostError> {
        let request = CryptoRequest {
            op: "crypto",
            action: "verify",
            hash: Some(hash),
        };
        let answer = self.context.ask(&request, raw(secret.as_ref())).await?;
        Ok(answer.described::<Described>()?.matches)
    }

    async fn ask(&self, action: &'static str, data: &[u8]) -> Result<Bytes, HostError> {
        let request = CryptoRequest {
            op: "crypto",
            action,
            hash: None,
        };
        Ok(self.context.ask(&request, raw(data)).await?.body)
    }
}

fn raw(data: &[u8]) -> Payload {
    Payload {
        body: Bytes::copy_from_slice(data),
        is_json: false,
    }
}

fn text(body: &Bytes) -> String {
    String::from_utf8_lossy(body).into_owned()
}
