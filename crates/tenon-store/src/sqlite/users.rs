//! Users and sessions.

use rusqlite::{Row, params};

use super::connection::{Db, DbResult, statements, time_column, to_word, word_column};
use super::objects::{Audited, audit};
use super::readers::{ReadContext, not_a_read};
use super::writer::{WriteContext, not_a_write};
use crate::error::StoreError;
use crate::users::{SessionRecord, User, UserReply, UserRequest};

statements! {
    LIST = "SELECT name, password_hash, access, updated_at FROM users ORDER BY name";
    GET = "SELECT name, password_hash, access, updated_at FROM users WHERE name = ?1";
    PUT = "INSERT INTO users(name, password_hash, access, updated_at) VALUES(?1, ?2, ?3, ?4) \
        ON CONFLICT(name) DO UPDATE SET password_hash = excluded.password_hash, access = excluded.access, \
        updated_at = excluded.updated_at";
    DELETE = "DELETE FROM users WHERE name = ?1";
    SESSION = "SELECT users.name, users.access, sessions.expires_at FROM sessions \
        JOIN users ON users.name = sessions.user WHERE sessions.token_hash = ?1 AND sessions.expires_at > ?2";
    PUT_SESSION = "INSERT INTO sessions(token_hash, user, expires_at) VALUES(?1, ?2, ?3) \
        ON CONFLICT(token_hash) DO UPDATE SET user = excluded.user, expires_at = excluded.expires_at";
    DELETE_SESSION = "DELETE FROM sessions WHERE token_hash = ?1";
    DELETE_SESSIONS_OF = "DELETE FROM sessions WHERE user = ?1";
    TRIM_SESSIONS = "DELETE FROM sessions WHERE expires_at <= ?1";
}

/// Does a write.
pub(super) fn write(context: &mut WriteContext<'_>, request: &UserRequest) -> DbResult<UserReply> {
    match request {
        UserRequest::Put {
            name,
            password_hash,
            access,
            actor,
        } => {
            let before = context.db.one(GET, [name], user)?;
            let params = params![name, password_hash, to_word(access)?, context.now.as_millis()];
            context.db.run(PUT, params)?;
            if before.as_ref().is_some_and(|user| user.password_hash != *password_hash) {
                context.db.run(DELETE_SESSIONS_OF, [name])?;
            }
            record(context, actor, if before.is_some() { "update" } else { "create" }, name)?;
        }
        UserRequest::Delete { name, actor } => {
            if context.db.run(DELETE, [name])? == 0 {
                return Err(no_such_user(name).into());
            }
            context.db.run(DELETE_SESSIONS_OF, [name])?;
            record(context, actor, "delete", name)?;
        }
        UserRequest::PutSession {
            token_hash,
            user: name,
            expires_at,
        } => {
            if context.db.one(GET, [name], user)?.is_none() {
                return Err(no_such_user(name).into());
            }
            context
                .db
                .run(PUT_SESSION, params![token_hash, name, expires_at.as_millis()])?;
        }
        UserRequest::DeleteSession { token_hash } => {
            context.db.run(DELETE_SESSION, [token_hash])?;
        }
        UserRequest::Get { .. } | UserRequest::List | UserRequest::Session { .. } => return Err(not_a_write()),
    }
    Ok(UserReply::Done)
}

/// Does a read.
pub(super) fn read(context: &ReadContext<'_>, request: &UserRequest) -> DbResult<UserReply> {
    match request {
        UserRequest::Get { name } => context.db.one(GET, [name], user).map(UserReply::One),
        UserRequest::List => context.db.all(LIST, [], user).map(UserReply::List),
        UserRequest::Session { token_hash } => {
            let params = params![token_hash, context.now.as_millis()];
            context.db.one(SESSION, params, session).map(UserReply::Session)
        }
        _ => Err(not_a_read()),
    }
}

/// Drops sessions that have ended.
pub(super) fn trim(context: &WriteContext<'_>) -> DbResult<()> {
    context.db.run(TRIM_SESSIONS, [context.now.as_millis()])?;
    Ok(())
}

fn no_such_user(name: &str) -> StoreError {
    StoreError::NotFound(format!("user '{name}'"))
}

fn record(context: &WriteContext<'_>, actor: &str, action: &str, name: &str) -> DbResult<()> {
    let audited = Audited {
        kind: "user",
        name,
        action,
        revision: None,
    };
    audit(context, actor, &audited)
}

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        name: row.get(0)?,
        password_hash: row.get(1)?,
        access: word_column(row, 2)?,
        updated_at: time_column(row, 3)?,
    })
}

fn session(row: &Row<'_>) -> rusqlite::Result<SessionRecord> {
    Ok(SessionRecord {
        user: row.get(0)?,
        access: word_column(row, 1)?,
        expires_at: time_column(row, 2)?,
    })
}
