//! Objects, their log and the record of changes.

use std::collections::BTreeSet;

use rusqlite::{Connection, Row, params};
use tenon_model::{Object, ObjectKey, ObjectName, Revision};

use super::connection::{Db, DbResult, json_column, statements, time_column, to_json};
use super::counters;
use super::readers::{ReadContext, not_a_read};
use super::writer::{WriteContext, not_a_write};
use crate::error::StoreError;
use crate::objects::{AuditEntry, ObjectChange, ObjectDelta, ObjectReply, ObjectRequest, ObjectSet, WrittenObjects};

macro_rules! columns {
    () => {
        "objects.kind, objects.name, objects.body, objects.version, objects.revision, objects.manifest, \
         objects.updated_at"
    };
}

statements! {
    ALL = concat!("SELECT ", columns!(), " FROM objects ORDER BY kind, name");
    GET = concat!("SELECT ", columns!(), " FROM objects WHERE kind = ?1 AND name = ?2");
    VERSION = "SELECT version FROM objects WHERE kind = ?1 AND name = ?2";
    PUT = "INSERT INTO objects(kind, name, body, version, revision, manifest, updated_at) \
        VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) \
        ON CONFLICT(kind, name) DO UPDATE SET body = excluded.body, version = excluded.version, \
        revision = excluded.revision, manifest = excluded.manifest, updated_at = excluded.updated_at";
    DELETE = "DELETE FROM objects WHERE kind = ?1 AND name = ?2";
    LOG = "INSERT INTO object_log(revision, kind, name) VALUES(?1, ?2, ?3)";
    LOG_START = "SELECT min(revision) FROM object_log";
    CHANGED = concat!(
        "SELECT ", columns!(), " FROM objects JOIN \
         (SELECT DISTINCT kind, name FROM object_log WHERE revision > ?1) AS changed \
         ON objects.kind = changed.kind AND objects.name = changed.name ORDER BY objects.kind, objects.name"
    );
    REMOVED = "SELECT DISTINCT kind, name FROM object_log WHERE revision > ?1 AND NOT EXISTS \
        (SELECT 1 FROM objects WHERE objects.kind = object_log.kind AND objects.name = object_log.name) \
        ORDER BY kind, name";
    LOG_COUNT = "SELECT count(*) FROM object_log";
    TRIM_LOG = "DELETE FROM object_log WHERE revision <= \
        (SELECT max(revision) FROM (SELECT revision FROM object_log ORDER BY revision LIMIT ?1))";
    AUDIT = "INSERT INTO audit(at, actor, action, kind, name, revision) VALUES(?1, ?2, ?3, ?4, ?5, ?6)";
    LIST_AUDIT = "SELECT id, at, actor, action, kind, name, revision FROM audit WHERE id < ?1 \
        ORDER BY id DESC LIMIT ?2";
    TRIM_AUDIT = "DELETE FROM audit WHERE id <= (SELECT max(id) FROM audit) - ?1";
}

/// The counter of revisions.
const REVISION: &str = "object-revision";

/// Does a write.
pub(super) fn write(context: &mut WriteContext<'_>, request: &ObjectRequest) -> DbResult<ObjectReply> {
    match request {
        ObjectRequest::Write { changes, actor } => write_objects(context, changes, actor).map(ObjectReply::Written),
        _ => Err(not_a_write()),
    }
}

/// Does a read.
pub(super) fn read(context: &ReadContext<'_>, request: &ObjectRequest) -> DbResult<ObjectReply> {
    let db = context.db;
    match request {
        ObjectRequest::All => Ok(ObjectReply::Set(ObjectSet {
            revision: revision(db)?,
            objects: db.all(ALL, [], object)?,
        })),
        ObjectRequest::Since(since) => delta(db, *since).map(ObjectReply::Delta),
        ObjectRequest::Get(key) => db
            .one(GET, params![key.kind, key.name.as_str()], object)
            .map(ObjectReply::One),
        ObjectRequest::Audit { after, limit } => {
            let below = after.unwrap_or(i64::MAX as u64);
            db.all(LIST_AUDIT, params![below, limit], audit_entry)
                .map(ObjectReply::Audit)
        }
        ObjectRequest::Write { .. } => Err(not_a_read()),
    }
}

/// Shortens the log and the record of changes.
pub(super) fn trim(context: &WriteContext<'_>) -> DbResult<()> {
    let count: u64 = context.db.one(LOG_COUNT, [], |row| row.get(0))?.unwrap_or(0);
    let too_many = count.saturating_sub(context.settings.object_log_max);
    if too_many > 0 {
        context.db.run(TRIM_LOG, [too_many])?;
    }
    context.db.run(TRIM_AUDIT, [context.settings.audit_max])?;
    Ok(())
}

/// What was done to what.
pub(super) struct Audited<'a> {
    /// The kind of what was changed.
    pub(super) kind: &'a str,
    /// Its name.
    pub(super) name: &'a str,
    /// `create`, `update` or `delete`.
    pub(super) action: &'a str,
    /// The revision that the change made.
    pub(super) revision: Option<Revision>,
}

/// Records a change.
pub(super) fn audit(context: &WriteContext<'_>, actor: &str, audited: &Audited<'_>) -> DbResult<()> {
    let revision = audited.revision.map(|revision| revision.0);
    let at = context.now.as_millis();
    let params = params![at, actor, audited.action, audited.kind, audited.name, revision];
    context.db.run(AUDIT, params)?;
    Ok(())
}

/// A name that was checked before it was written.
pub(super) fn name_column(row: &Row<'_>, index: usize) -> rusqlite::Result<ObjectName> {
    super::connection::word_column(row, index)
}

fn write_objects(context: &mut WriteContext<'_>, changes: &[ObjectChange], actor: &str) -> DbResult<WrittenObjects> {
    if changes.is_empty() {
        let revision = revision(context.db)?;
        return Ok(WrittenObjects {
            revision,
            objects: Vec::new(),
        });
    }
    let mut keys = BTreeSet::new();
    for change in changes {
        if !keys.insert(change.key()) {
            return Err(StoreError::Invalid(format!("{} is changed twice in one write", change.key())).into());
        }
    }
    let revision = Revision(counters::next(context.db, REVISION)?);
    let mut objects = Vec::new();
    for change in changes {
        let key = change.key();
        let action = match write_object(context, change, revision)? {
            Some(object) => {
                let action = if object.version == 1 { "create" } else { "update" };
                objects.push(object);
                action
            }
            None => "delete",
        };
        context.db.run(LOG, params![revision.0, key.kind, key.name.as_str()])?;
        let audited = Audited {
            kind: &key.kind,
            name: key.name.as_str(),
            action,
            revision: Some(revision),
        };
        audit(context, actor, &audited)?;
    }
    context.changes.objects = Some(revision);
    Ok(WrittenObjects { revision, objects })
}

/// Does one change; the object as it is now, or none if it was removed.
fn write_object(context: &WriteContext<'_>, change: &ObjectChange, revision: Revision) -> DbResult<Option<Object>> {
    let key = change.key();
    let key_params = params![key.kind, key.name.as_str()];
    let found: u64 = context.db.one(VERSION, key_params, |row| row.get(0))?.unwrap_or(0);
    let (ObjectChange::Put { if_version, .. } | ObjectChange::Delete { if_version, .. }) = change;
    if let Some(expected) = *if_version
        && expected != found
    {
        let key = key.clone();
        return Err(StoreError::VersionConflict { key, expected, found }.into());
    }
    let ObjectChange::Put { body, manifest, .. } = change else {
        if context.db.run(DELETE, key_params)? == 0 {
            return Err(StoreError::NotFound(key.to_string()).into());
        }
        return Ok(None);
    };
    let object = Object {
        kind: key.kind.clone(),
        name: key.name.clone(),
        body: body.clone(),
        version: found + 1,
        revision,
        manifest: manifest.clone(),
        updated_at: context.now,
    };
    let params = params![
        object.kind,
        object.name.as_str(),
        to_json(body)?,
        object.version,
        revision.0,
        object.manifest,
        object.updated_at.as_millis(),
    ];
    context.db.run(PUT, params)?;
    Ok(Some(object))
}

fn revision(db: &Connection) -> DbResult<Revision> {
    counters::get(db, REVISION).map(Revision)
}

fn delta(db: &Connection, since: Revision) -> DbResult<ObjectDelta> {
    let revision = revision(db)?;
    let log_start: Option<u64> = db.one(LOG_START, [], |row| row.get(0))?.flatten();
    // A revision that this file never had comes from another file: nothing can be said about what changed since.
    let complete = since == revision || (since < revision && log_start.is_some_and(|start| start <= since.0 + 1));
    if !complete || since == revision {
        return Ok(ObjectDelta {
            revision,
            complete,
            ..ObjectDelta::default()
        });
    }
    let removed = db.all(REMOVED, [since.0], |row| {
        Ok(ObjectKey::new(row.get::<_, String>(0)?, name_column(row, 1)?))
    })?;
    Ok(ObjectDelta {
        revision,
        changed: db.all(CHANGED, [since.0], object)?,
        removed,
        complete,
    })
}

fn object(row: &Row<'_>) -> rusqlite::Result<Object> {
    Ok(Object {
        kind: row.get(0)?,
        name: name_column(row, 1)?,
        body: json_column(row, 2)?,
        version: row.get(3)?,
        revision: Revision(row.get(4)?),
        manifest: row.get(5)?,
        updated_at: time_column(row, 6)?,
    })
}

fn audit_entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    let revision: Option<u64> = row.get(6)?;
    Ok(AuditEntry {
        id: row.get(0)?,
        at: time_column(row, 1)?,
        actor: row.get(2)?,
        action: row.get(3)?,
        kind: row.get(4)?,
        name: row.get(5)?,
        revision: revision.map(Revision),
    })
}
