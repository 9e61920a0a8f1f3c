//! Secrets at rest: sealed with the cluster's key (ChaCha20-Poly1305, RFC 8439, a random nonce in front).

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use tenon_model::{Random, SEALED_PREFIX};

/// The cluster's secret key. Every server of a cluster has the same one.
pub struct ClusterKey(LessSafeKey);

/// Why a secret can't be had.
#[derive(Debug, thiserror::Error)]
pub enum ClusterKeyError {
    /// The key's file can't be read.
    #[error("cannot read the cluster's secret key from {path}")]
    Read {
        /// The file.
        path: String,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// The key's file does not hold a key.
    #[error("{path} does not hold a secret key: 32 bytes in base64")]
    NoKey {
        /// The file.
        path: String,
    },
    /// A sealed text was sealed with another key, or was changed.
    #[error("the secret was sealed by another cluster, or was changed; write it again")]
    Unseal,
}

impl ClusterKey {
    /// Reads the key from its file: 32 bytes in base64.
    pub fn load(path: &Path) -> Result<Self, ClusterKeyError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| ClusterKeyError::Read {
            path: shown.clone(),
            source,
        })?;
        let encoded = text.trim().trim_end_matches('=');
        let bytes = STANDARD_NO_PAD
            .decode(encoded)
            .map_err(|_| ClusterKeyError::NoKey { path: shown.clone() })?;
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes).map_err(|_| ClusterKeyError::NoKey { path: shown })?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Encrypts a secret: `sealed:` and base64 of nonce, ciphertext and tag.
    pub fn seal(&self, secret: &str, random: &dyn Random) -> String {
        let mut nonce = [0_u8; NONCE_LEN];
        random.fill(&mut nonce);
        let mut bytes = secret.as_bytes().to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut bytes)
            .expect("a secret is far smaller than the cipher's limit of 256 GiB");
        let mut sealed = nonce.to_vec();
        sealed.append(&mut bytes);
        format!("{SEALED_PREFIX}{}", STANDARD_NO_PAD.encode(sealed))
    }

    /// Decrypts what [`seal`](Self::seal) made.
    pub fn unseal(&self, sealed: &str) -> Result<String, ClusterKeyError> {
        let encoded = sealed.strip_prefix(SEALED_PREFIX).ok_or(ClusterKeyError::Unseal)?;
        let bytes = STANDARD_NO_PAD.decode(encoded).map_err(|_| ClusterKeyError::Unseal)?;
        let (nonce, ciphertext) = bytes.split_at_checked(NONCE_LEN).ok_or(ClusterKeyError::Unseal)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| ClusterKeyError::Unseal)?;
        let mut ciphertext = ciphertext.to_vec();
        let plain = self
            .0
            .open_in_place(nonce, Aad::empty(), &mut ciphertext)
            .map_err(|_| ClusterKeyError::Unseal)?;
        String::from_utf8(plain.to_vec()).map_err(|_| ClusterKeyError::Unseal)
    }
}

/// What is encrypted for services can't be opened as a secret of an object, nor the other way round.
const FOR_SERVICES: &[u8] = b"services";
/// What a text begins with that was encrypted for a service.
const ENCRYPTED_PREFIX: &str = "encrypted:";

impl ClusterKey {
    /// Encrypts data for a service: `encrypted:` and base64 of nonce, ciphertext and tag.
    pub fn encrypt(&self, data: &[u8], random: &dyn Random) -> String {
        let mut nonce = [0_u8; NONCE_LEN];
        random.fill(&mut nonce);
        let mut bytes = data.to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(FOR_SERVICES), &mut bytes)
            .expect("a frame is far smaller than the cipher's limit of 256 GiB");
        let mut encrypted = nonce.to_vec();
        encrypted.append(&mut bytes);
        format!("{ENCRYPTED_PREFIX}{}", STANDARD_NO_PAD.encode(encrypted))
    }

    /// Decrypts what [`encrypt`](Self::encrypt) made.
    pub fn decrypt(&self, encrypted: &str) -> Result<Vec<u8>, ClusterKeyError> {
        let encoded = encrypted
            .strip_prefix(ENCRYPTED_PREFIX)
            .ok_or(ClusterKeyError::Unseal)?;
        let bytes = STANDARD_NO_PAD.decode(encoded).map_err(|_| ClusterKeyError::Unseal)?;
        let (nonce, ciphertext) = bytes.split_at_checked(NONCE_LEN).ok_or(ClusterKeyError::Unseal)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| ClusterKeyError::Unseal)?;
        let mut ciphertext = ciphertext.to_vec();
        let plain = self.0.open_in_place(nonce, Aad::from(FOR_SERVICES), &mut ciphertext);
        plain.map(|plain| plain.to_vec()).map_err(|_| ClusterKeyError::Unseal)
    }
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use tenon_model::ManualRandom;

    use super::*;

    #[test]
    fn what_is_sealed_opens_with_the_same_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let key_of = |byte: u8| {
            let path = folder.path().join(byte.to_string());
            std::fs::write(&path, base64::engine::general_purpose::STANDARD.encode([byte; 32])).unwrap();
            ClusterKey::load(&path).unwrap()
        };
        let random = ManualRandom::new(1);
        let (ours, theirs) = (key_of(1), key_of(2));
        let sealed = ours.seal("pässword", &random);
        assert_eq!(ours.unseal(&sealed).unwrap(), "pässword");
        assert_ne!(sealed, ours.seal("pässword", &random), "nonces repeat");
        assert!(theirs.unseal(&sealed).is_err());
        let mut changed = sealed.clone();
        changed.replace_range(20..21, if &sealed[20..21] == "A" { "B" } else { "A" });
        assert!(ours.unseal(&changed).is_err());
        assert!(ours.unseal("sealed:").is_err());
    }

    #[test]
    fn what_is_encrypted_for_services_is_no_secret_of_an_object() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, base64::engine::general_purpose::STANDARD.encode([7; 32])).unwrap();
        let (key, random) = (ClusterKey::load(&path).unwrap(), ManualRandom::new(1));
        let encrypted = key.encrypt(&[0, 255, 1], &random);
        assert_eq!(key.decrypt(&encrypted).unwrap(), [0, 255, 1]);
        let as_secret = encrypted.replace(ENCRYPTED_PREFIX, SEALED_PREFIX);
        assert!(key.unseal(&as_secret).is_err());
        let sealed = key.seal("password", &random);
        assert!(key.decrypt(&sealed.replace(SEALED_PREFIX, ENCRYPTED_PREFIX)).is_err());
    }
}
