//! Users of the control API: passwords (argon2id) and sessions (an opaque token, of which only the hash is stored).

use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordVerifier};
use argon2::{Argon2, PasswordHasher};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tenon_model::{Access, DurationText, Random, Secret};
use tenon_protocol::control::Session;
use tenon_store::{Store, StoreError};

const TOKEN_BYTES: usize = 32;

/// Logs users in and knows their sessions.
#[derive(Debug, Clone)]
pub struct Users {
    store: Store,
    random: Arc<dyn Random>,
    session_lifetime: DurationText,
}

/// Why nobody was logged in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// There is no such user, or the password is another one. Which of the two is not said.
    #[error("the user name or the password is wrong")]
    Wrong,
    /// The password could not be checked.
    #[error("the password could not be checked: {0}")]
    Hash(String),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Users {
    /// The users in this store; their sessions last that long.
    pub fn new(store: Store, random: Arc<dyn Random>, session_lifetime: DurationText) -> Self {
        Self {
            store,
            random,
            session_lifetime,
        }
    }

    /// Makes the first administrator of a new cluster, with a hash that was made when the environment was created. Nothing if
    /// the cluster has users.
    pub async fn bootstrap(&self, name: &str, password_hash: &str) -> Result<(), StoreError> {
        if self.store.users().await?.is_empty() {
            self.store
                .put_user(name, password_hash, Access::Admin, "environment")
                .await?;
        }
        Ok(())
    }

    /// Checks a password and begins a session.
    pub async fn log_in(&self, name: &str, password: &Secret) -> Result<Session, SignInError> {
        let user = self.store.user(name).await?;
        let hash = match &user {
            Some(user) => user.password_hash.clone(),
            None => hash_of_nobody()?,
        };
        let right = verify(password.clone(), hash).await?;
        let user = user.filter(|_| right).ok_or(SignInError::Wrong)?;
        let mut token = [0_u8; TOKEN_BYTES];
        self.random.fill(&mut token);
        let token = URL_SAFE_NO_PAD.encode(token);
        let expires_at = self.store.now().await?.plus(self.session_lifetime.0);
        self.store
            .put_session(&hash_of_token(&token), &user.name, expires_at)
            .await?;
        Ok(Session {
            user: user.name,
            access: user.access,
            expires_at,
            token: Some(Secret::new(token)),
        })
    }

    /// The session of a token, if there is one and it has not ended.
    pub async fn session(&self, token: &str) -> Result<Option<Session>, StoreError> {
        let session = self.store.session(&hash_of_token(token)).await?;
        Ok(session.map(|session| Session {
            user: session.user,
            access: session.access,
            expires_at: session.expires_at,
            token: None,
        }))
    }

    /// Ends a session.
    pub async fn log_out(&self, token: &str) -> Result<(), StoreError> {
        self.store.delete_session(&hash_of_token(token)).await
    }
}

/// Passwords take their time by design, so they are checked on a thread that may block.
async fn verify(password: Secret, hash: String) -> Result<bool, SignInError> {
    let checked = tokio::task::spawn_blocking(move || {
        let hash = PasswordHash::new(&hash).map_err(|error| SignInError::Hash(error.to_string()))?;
        Ok(Argon2::default()
            .verify_password(password.reveal().as_bytes(), &hash)
            .is_ok())
    });
    checked.await.map_err(|error| SignInError::Hash(error.to_string()))?
}

/// A hash that no password has, so that an unknown user takes as long as a known one.
fn hash_of_nobody() -> Result<String, SignInError> {
    let salt = argon2::password_hash::SaltString::encode_b64(b"nobody-has-this-")
        .map_err(|error| SignInError::Hash(error.to_string()))?;
    let hash = Argon2::default()
        .hash_password(b"", &salt)
        .map_err(|error| SignInError::Hash(error.to_string()))?;
    Ok(hash.to_string())
}

fn hash_of_token(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use tenon_model::{SystemClock, SystemRandom};

    use super::*;

    #[tokio::test]
    async fn a_session_lives_until_it_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::sqlite_in(folder.path(), Arc::new(SystemClock), Arc::new(SystemRandom)).unwrap();
        let users = Users::new(store, Arc::new(SystemRandom), DurationText::from_secs(60));
        let salt = argon2::password_hash::SaltString::encode_b64(b"salt-of-the-test").unwrap();
        let hash = Argon2::default().hash_password(b"right", &salt).unwrap().to_string();
        users.bootstrap("admin", &hash).await.unwrap();
        users.bootstrap("other", &hash).await.unwrap();
        for (name, password) in [("admin", "wrong"), ("other", "right"), ("nobody", "")] {
            let error = users.log_in(name, &Secret::new(password)).await.unwrap_err();
            assert!(matches!(error, SignInError::Wrong), "{name}: {error}");
        }
        let session = users.log_in("admin", &Secret::new("right")).await.unwrap();
        let token = session.token.unwrap();
        assert_eq!(users.session(token.reveal()).await.unwrap().unwrap().user, "admin");
        users.log_out(token.reveal()).await.unwrap();
        assert!(users.session(token.reveal()).await.unwrap().is_none());
    }
}
