//! Secrets, sealed.

use rusqlite::{Row, params};
use tenon_model::ObjectName;

use super::connection::{Db, DbResult, statements, time_column};
use super::objects::{Audited, audit};
use super::readers::{ReadContext, not_a_read};
use super::writer::{Change, WriteContext, not_a_write};
use crate::error::StoreError;
use crate::secrets::{SealedSecret, SecretReply, SecretRequest};

statements! {
    LIST = "SELECT name, sealed, updated_at FROM secrets ORDER BY name";
    EXISTS = "SELECT 1 FROM secrets WHERE name = ?1";
    PUT = "INSERT INTO secrets(name, sealed, updated_at) VALUES(?1, ?2, ?3) \
        ON CONFLICT(name) DO UPDATE SET sealed = excluded.sealed, updated_at = excluded.updated_at";
    DELETE = "DELETE FROM secrets WHERE name = ?1";
}

/// Does a write.
pub(super) fn write(context: &mut WriteContext<'_>, request: &SecretRequest) -> DbResult<SecretReply> {
    let reply = match request {
        SecretRequest::Put { name, sealed, actor } => {
            let exists = context.db.one(EXISTS, [name.as_str()], |_| Ok(()))?.is_some();
            let now = context.now;
            context.db.run(PUT, params![name.as_str(), sealed, now.as_millis()])?;
            let action = if exists { "update" } else { "create" };
            record(context, actor, action, name)?;
            SecretReply::Written(now)
        }
        SecretRequest::Delete { name, actor } => {
            if context.db.run(DELETE, [name.as_str()])? == 0 {
                return Err(StoreError::NotFound(format!("secret '{name}'")).into());
            }
            record(context, actor, "delete", name)?;
            SecretReply::Done
        }
        SecretRequest::List => return Err(not_a_write()),
    };
    context.changes.add(Change::Secrets);
    Ok(reply)
}

/// Does a read.
pub(super) fn read(context: &ReadContext<'_>, request: &SecretRequest) -> DbResult<SecretReply> {
    if *request != SecretRequest::List {
        return Err(not_a_read());
    }
    context.db.all(LIST, [], secret).map(SecretReply::List)
}

fn record(context: &WriteContext<'_>, actor: &str, action: &str, name: &ObjectName) -> DbResult<()> {
    let audited = Audited {
        kind: "secret",
        name: name.as_str(),
        action,
        revision: None,
    };
    audit(context, actor, &audited)
}

fn secret(row: &Row<'_>) -> rusqlite::Result<SealedSecret> {
    Ok(SealedSecret {
        name: super::objects::name_column(row, 0)?,
        sealed: row.get(1)?,
        updated_at: time_column(row, 2)?,
    })
}
