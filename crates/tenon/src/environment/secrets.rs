//! What the environment keeps secret: the cluster's key, the first admin's password.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use argon2::password_hash::SaltString;
use argon2::{Argon2, PasswordHasher as _};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tenon_model::Random;

use super::layout::Layout;
use crate::failure::fail;

/// The name of the first user.
pub(crate) const ADMIN: &str = "admin";

/// How long a password that the user chooses must be.
const PASSWORD_LENGTH_MIN: usize = 8;

/// The cluster's key, base64.
pub(crate) fn key_file(layout: &Layout) -> PathBuf {
    layout.secrets().join("secret-key")
}

/// The first admin's password.
pub(crate) fn password_file(layout: &Layout) -> PathBuf {
    layout.secrets().join("admin-password")
}

/// The argon2id hash of the first admin's password, in PHC format: what servers create the user `admin` with.
pub(crate) fn password_hash_file(layout: &Layout) -> PathBuf {
    layout.secrets().join("admin-password-hash")
}

/// Writes a new key and the admin's password and its hash.
pub(crate) fn create(layout: &Layout, password: &str, random: &dyn Random) -> anyhow::Result<()> {
    let mut key = [0_u8; 32];
    random.fill(&mut key);
    write_private(&key_file(layout), &format!("{}\n", BASE64_STANDARD.encode(key)))?;
    write_private(&password_file(layout), &format!("{password}\n"))?;
    write_private(&password_hash_file(layout), &format!("{}\n", hash(password, random)?))
}

/// A password that nobody guesses: 20 letters and digits, without those that look alike.
pub(crate) fn random_password(random: &dyn Random) -> String {
    const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let bound = LETTERS.len() as u64;
    (0..20)
        .map(|_| {
            let index = usize::try_from(random.below(bound)).expect("the bound is small");
            char::from(LETTERS[index])
        })
        .collect()
}

/// The password in a file that the user made.
pub(crate) fn read_password(file: &Path) -> anyhow::Result<String> {
    let Ok(text) = std::fs::read_to_string(file) else {
        fail!(
            InvalidInput,
            format!("the password file {} can't be read", file.display()),
            "give a file that holds the admin's password in its first line"
        );
    };
    let password = text.lines().next().unwrap_or_default().trim();
    if password.chars().count() < PASSWORD_LENGTH_MIN {
        fail!(
            InvalidInput,
            format!(
                "the password in {} is shorter than {PASSWORD_LENGTH_MIN} characters",
                file.display()
            ),
            "choose a longer one, or leave the option out to get a random one"
        );
    }
    Ok(password.to_owned())
}

/// Writes a file that only its owner may read.
pub(crate) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let write = || {
        let mut file = std::fs::File::options()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().with_context(|| format!("can't write {}", path.display()))
}

fn hash(password: &str, random: &dyn Random) -> anyhow::Result<String> {
    let mut salt = [0_u8; 16];
    random.fill(&mut salt);
    let failed = |error| anyhow::anyhow!("the password can't be hashed: {error}");
    let salt = SaltString::encode_b64(&salt).map_err(failed)?;
    let hash = Argon2::default()
        .hash_password(password.as_bytes(), &salt)
        .map_err(failed)?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use argon2::{PasswordHash, PasswordVerifier as _};
    use tenon_model::ManualRandom;

    use super::*;

    #[test]
    fn the_hash_is_of_the_password_and_the_key_is_32_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path().to_owned());
        std::fs::create_dir(layout.secrets()).unwrap();
        let random = ManualRandom::new(1);
        let password = random_password(&random);
        assert_eq!(password.len(), 20);
        create(&layout, &password, &random).unwrap();
        let key = std::fs::read_to_string(key_file(&layout)).unwrap();
        assert_eq!(BASE64_STANDARD.decode(key.trim()).unwrap().len(), 32);
        let text = std::fs::read_to_string(password_hash_file(&layout)).unwrap();
        let hash = PasswordHash::new(text.trim()).unwrap();
        assert_eq!(hash.algorithm.as_str(), "argon2id");
        assert!(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
        assert!(Argon2::default().verify_password(b"other", &hash).is_err());
    }
}
