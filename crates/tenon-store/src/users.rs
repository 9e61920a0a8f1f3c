//! Users and their sessions. Passwords and tokens come here hashed.

use std::fmt;

use serde::{Deserialize, Serialize};
use tenon_model::{Access, Timestamp};

use crate::engine::{Reply, RequestClass, Store, answer};
use crate::error::StoreError;

/// A user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The user's name.
    pub name: String,
    /// The hash of the password, with its parameters.
    pub password_hash: String,
    /// What the user may do.
    pub access: Access,
    /// When the user was last written.
    pub updated_at: Timestamp,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// A session that has not ended, with what its user may do now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// The user's name.
    pub user: String,
    /// What the user may do.
    pub access: Access,
    /// When it ends, by the store's clock.
    pub expires_at: Timestamp,
}

/// Requests about users and sessions.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserRequest {
    /// See [`Store::put_user`].
    Put {
        /// The user's name.
        name: String,
        /// The hash of the password.
        password_hash: String,
        /// What the user may do.
        access: Access,
        /// Who writes it.
        actor: String,
    },
    /// See [`Store::user`].
    Get {
        /// The user's name.
        name: String,
    },
    /// See [`Store::users`].
    List,
    /// See [`Store::delete_user`].
    Delete {
        /// The user's name.
        name: String,
        /// Who removes it.
        actor: String,
    },
    /// See [`Store::put_session`].
    PutSession {
        /// The hash of the token.
        token_hash: String,
        /// The user's name.
        user: String,
        /// When it ends.
        expires_at: Timestamp,
    },
    /// See [`Store::session`].
    Session {
        /// The hash of the token.
        token_hash: String,
    },
    /// See [`Store::delete_session`].
    DeleteSession {
        /// The hash of the token.
        token_hash: String,
    },
}

impl UserRequest {
    /// How the request is handled.
    pub fn class(&self) -> RequestClass {
        match self {
            UserRequest::Get { .. } | UserRequest::List | UserRequest::Session { .. } => RequestClass::Read,
            _ => RequestClass::Write,
        }
    }
}

impl fmt::Debug for UserRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Hashes stay out of logs.
        f.write_str("UserRequest")
    }
}

/// Answers about users and sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserReply {
    /// It was done.
    Done,
    /// One user.
    One(Option<User>),
    /// All users, by name.
    List(Vec<User>),
    /// A session.
    Session(Option<SessionRecord>),
}

impl Store {
    /// Creates or replaces a user. A new password ends the user's sessions.
    pub async fn put_user(
        &self,
        name: &str,
        password_hash: &str,
        access: Access,
        actor: &str,
    ) -> Result<(), StoreError> {
        let request = UserRequest::Put {
            name: name.to_owned(),
            password_hash: password_hash.to_owned(),
            access,
            actor: actor.to_owned(),
        };
        answer!(self, request, Reply::Users(UserReply::Done) => ())
    }

    /// One user.
    pub async fn user(&self, name: &str) -> Result<Option<User>, StoreError> {
        let request = UserRequest::Get { name: name.to_owned() };
        answer!(self, request, Reply::Users(UserReply::One(user)) => user)
    }

    /// All users, by name.
    pub async fn users(&self) -> Result<Vec<User>, StoreError> {
        answer!(self, UserRequest::List, Reply::Users(UserReply::List(users)) => users)
    }

    /// Removes a user and ends the user's sessions; an error if there is no such user.
    pub async fn delete_user(&self, name: &str, actor: &str) -> Result<(), StoreError> {
        let request = UserRequest::Delete {
            name: name.to_owned(),
            actor: actor.to_owned(),
        };
        answer!(self, request, Reply::Users(UserReply::Done) => ())
    }

    /// Begins a session of a user; an error if there is no such user.
    pub async fn put_session(&self, token_hash: &str, user: &str, expires_at: Timestamp) -> Result<(), StoreError> {
        let request = UserRequest::PutSession {
            token_hash: token_hash.to_owned(),
            user: user.to_owned(),
            expires_at,
        };
        answer!(self, request, Reply::Users(UserReply::Done) => ())
    }

    /// The session of a token, unless it has ended by the store's clock.
    pub async fn session(&self, token_hash: &str) -> Result<Option<SessionRecord>, StoreError> {
        let request = UserRequest::Session {
            token_hash: token_hash.to_owned(),
        };
        answer!(self, request, Reply::Users(UserReply::Session(session)) => session)
    }

    /// Ends a session; nothing if there is none.
    pub async fn delete_session(&self, token_hash: &str) -> Result<(), StoreError> {
        let request = UserRequest::DeleteSession {
            token_hash: token_hash.to_owned(),
        };
        answer!(self, request, Reply::Users(UserReply::Done) => ())
    }
}
