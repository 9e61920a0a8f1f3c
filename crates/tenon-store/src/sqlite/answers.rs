//! Answers kept for idempotency keys.

use rusqlite::{Connection, params};
use tenon_model::Timestamp;

use super::connection::{Db, DbResult, statements};
use super::leases::later;
use super::readers::{ReadContext, not_a_read};
use super::writer::{WriteContext, not_a_write};
use crate::answers::{AnswerClaim, AnswerReply, AnswerRequest};

statements! {
    GET = "SELECT fingerprint, answer FROM answers WHERE key = ?1 AND expires_at > ?2";
    CLAIM = "INSERT INTO answers(key, fingerprint, answer, expires_at) VALUES(?1, ?2, NULL, ?3) \
        ON CONFLICT(key) DO UPDATE SET fingerprint = excluded.fingerprint, answer = NULL, expires_at = excluded.expires_at";
    KEEP = "UPDATE answers SET answer = ?3, expires_at = ?4 WHERE key = ?1 AND fingerprint = ?2 AND answer IS NULL";
    FORGET = "DELETE FROM answers WHERE key = ?1 AND fingerprint = ?2 AND answer IS NULL";
    TRIM_OLD = "DELETE FROM answers WHERE expires_at <= ?1";
    TRIM_MANY = "DELETE FROM answers WHERE key IN (SELECT key FROM answers WHERE answer IS NOT NULL \
        ORDER BY expires_at LIMIT max(0, (SELECT count(*) FROM answers) - ?1))";
}

/// Does a write.
pub(super) fn write(context: &mut WriteContext<'_>, request: &AnswerRequest) -> DbResult<AnswerReply> {
    match request {
        AnswerRequest::Claim {
            key,
            fingerprint,
            claim_ms,
        } => {
            let claim = look(context.db, key, fingerprint, context.now)?;
            if claim == AnswerClaim::Yours {
                let expires_at = later(context.now, *claim_ms).as_millis();
                context.db.run(CLAIM, params![key, fingerprint, expires_at])?;
            }
            Ok(AnswerReply::Claim(claim))
        }
        AnswerRequest::Keep {
            key,
            fingerprint,
            answer,
            ttl_ms,
        } => {
            let expires_at = later(context.now, *ttl_ms).as_millis();
            context.db.run(KEEP, params![key, fingerprint, answer, expires_at])?;
            Ok(AnswerReply::Done)
        }
        AnswerRequest::Forget { key, fingerprint } => {
            context.db.run(FORGET, params![key, fingerprint])?;
            Ok(AnswerReply::Done)
        }
        AnswerRequest::Look { .. } => Err(not_a_write()),
    }
}

/// Does a read.
pub(super) fn read(context: &ReadContext<'_>, request: &AnswerRequest) -> DbResult<AnswerReply> {
    let AnswerRequest::Look { key, fingerprint } = request else {
        return Err(not_a_read());
    };
    look(context.db, key, fingerprint, context.now).map(AnswerReply::Claim)
}

/// Drops what is too old, and the oldest of what is too much.
pub(super) fn trim(context: &mut WriteContext<'_>) -> DbResult<()> {
    context.db.run(TRIM_OLD, params![context.now.as_millis()])?;
    context.db.run(TRIM_MANY, params![context.settings.answers_max])?;
    Ok(())
}

fn look(db: &Connection, key: &str, fingerprint: &str, now: Timestamp) -> DbResult<AnswerClaim> {
    let found: Option<(String, Option<Vec<u8>>)> =
        db.one(GET, params![key, now.as_millis()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(match found {
        None => AnswerClaim::Yours,
        Some((known, _)) if known != fingerprint => AnswerClaim::OtherRequest,
        Some((_, None)) => AnswerClaim::Running,
        Some((_, Some(answer))) => AnswerClaim::Answered(answer),
    })
}
