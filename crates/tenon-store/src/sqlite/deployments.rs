//! Deployments, their files, and what was imported from folders.

use std::collections::BTreeSet;

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};
use tenon_model::InstanceId;
use tenon_protocol::control::{CanaryTerms, DeploymentState, DeploymentSummary, RefusedFile};

use super::connection::{
    Db, DbResult, json_column, optional_time_column, statements, time_column, to_json, to_word, word_column,
};
use super::readers::{ReadContext, not_a_read};
use super::writer::{Change, WriteContext, not_a_write};
use crate::canary::CanaryCounts;
use crate::deployments::{
    DeploymentFile, DeploymentRecord, DeploymentReply, DeploymentRequest, FileHash, NewDeployment, Preparation,
};
use crate::error::StoreError;

statements! {
    INSERT = "INSERT INTO deployments(worker_group, state, source, created_at, refused, services, services_count, canary) \
        VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING number";
    INSERT_CONTENT = "INSERT INTO contents(sha256, size_bytes, content) VALUES(?1, ?2, ?3) ON CONFLICT DO NOTHING";
    INSERT_FILE = "INSERT INTO deployment_files(number, path, sha256) VALUES(?1, ?2, ?3)";
    STATE = "SELECT worker_group, state, refused FROM deployments WHERE number = ?1";
    LIVE_NUMBER = "SELECT number FROM deployments WHERE worker_group = ?1 AND state = 'live'";
    CANARY_NUMBER = "SELECT number FROM deployments WHERE worker_group = ?1 AND state = 'canary'";
    MAKE_CANARY = "UPDATE deployments SET state = 'canary', canary_at = ?2 WHERE number = ?1";
    ROLL_BACK = "UPDATE deployments SET state = 'rolled-back' WHERE number = ?1";
    GIVE_REASON = "UPDATE deployments SET reason = ?2 WHERE number = ?1";
    REPORT_CANARY = "INSERT INTO canary_counts(number, server, instance, counts) \
        SELECT ?1, ?2, ?3, ?4 FROM deployments WHERE number = ?1 AND state = 'canary' \
        ON CONFLICT(number, server, instance) DO UPDATE SET counts = ?4";
    CANARY_COUNTS = "SELECT counts FROM canary_counts WHERE number = ?1 ORDER BY server, instance";
    DELETE_CANARY_COUNTS = "DELETE FROM canary_counts WHERE number = ?1";
    SUPERSEDE = "UPDATE deployments SET state = 'superseded' WHERE worker_group = ?1 AND state = 'live'";
    MAKE_LIVE = "UPDATE deployments SET state = 'live', live_at = ?2 WHERE number = ?1";
    REFUSE = "UPDATE deployments SET state = 'refused', refused = ?2 WHERE number = ?1";
    LIST = "SELECT number, worker_group, state, source, created_at, \
        (SELECT count(*) FROM deployment_files WHERE deployment_files.number = deployments.number), \
        services_count, refused, canary, reason FROM deployments WHERE number < ?1 AND (?3 IS NULL OR worker_group = ?3) \
        ORDER BY number DESC LIMIT ?2";
    SERVING = "SELECT number, worker_group, state, source, created_at, \
        (SELECT count(*) FROM deployment_files WHERE deployment_files.number = deployments.number), \
        services_count, refused, canary, reason FROM deployments WHERE state IN ('live', 'canary') ORDER BY number";
    GET = "SELECT number, worker_group, state, source, created_at, live_at, refused, services, canary, canary_at, reason \
        FROM deployments WHERE number = ?1";
    HASHES = "SELECT path, deployment_files.sha256, size_bytes FROM deployment_files \
        JOIN contents ON contents.sha256 = deployment_files.sha256 WHERE number = ?1 ORDER BY path";
    FILES = "SELECT path, deployment_files.sha256, content FROM deployment_files \
        JOIN contents ON contents.sha256 = deployment_files.sha256 WHERE number = ?1 ORDER BY path";
    OLD = "SELECT number FROM deployments WHERE state NOT IN ('live', 'canary', 'preparing') \
        ORDER BY number DESC LIMIT -1 OFFSET ?1";
    DELETE_FILES = "DELETE FROM deployment_files WHERE number = ?1";
    DELETE = "DELETE FROM deployments WHERE number = ?1";
    DELETE_CONTENTS = "DELETE FROM contents WHERE NOT EXISTS \
        (SELECT 1 FROM deployment_files WHERE deployment_files.sha256 = contents.sha256)";
    REPORT = "INSERT INTO preparations(number, server, instance, state, error) \
        SELECT ?1, ?2, ?3, ?4, ?5 FROM deployments WHERE number = ?1 \
        ON CONFLICT(number, server) DO UPDATE SET instance = ?3, state = ?4, error = ?5";
    PREPARATIONS = "SELECT server, instance, state, error FROM preparations WHERE number = ?1 ORDER BY server";
    DELETE_PREPARATIONS = "DELETE FROM preparations WHERE number = ?1";
    IMPORTS = "SELECT path, sha256 FROM folder_imports WHERE folder = ?1 ORDER BY path";
    DELETE_IMPORTS = "DELETE FROM folder_imports WHERE folder = ?1";
    INSERT_IMPORT = "INSERT INTO folder_imports(folder, path, sha256) VALUES(?1, ?2, ?3)";
}

/// Does a write.
pub(super) fn write(context: &mut WriteContext<'_>, request: &DeploymentRequest) -> DbResult<DeploymentReply> {
    match request {
        DeploymentRequest::Begin { deployment, state } => {
            begin(context, deployment, *state).map(DeploymentReply::Number)
        }
        DeploymentRequest::Commit { number } => commit(context, *number).map(|()| DeploymentReply::Done),
        DeploymentRequest::Refuse { number, refused } => {
            refuse(context, *number, refused).map(|()| DeploymentReply::Done)
        }
        DeploymentRequest::BeginCanary { number } => begin_canary(context, *number).map(|()| DeploymentReply::Done),
        DeploymentRequest::EndCanary {
            number,
            is_promoted,
            reason,
        } => end_canary(context, *number, *is_promoted, reason).map(|()| DeploymentReply::Done),
        DeploymentRequest::ReportCanary {
            number,
            server,
            instance,
            counts,
        } => {
            let params = params![number, server, instance.as_str(), to_json(counts)?];
            context.db.run(REPORT_CANARY, params)?;
            Ok(DeploymentReply::Done)
        }
        DeploymentRequest::ReportPreparation { number, preparation } => {
            let Preparation {
                server,
                instance,
                error,
                ..
            } = preparation;
            let state = to_word(&preparation.state)?;
            let params = params![number, server, instance.as_str(), state, error];
            context.db.run(REPORT, params)?;
            context.changes.add(Change::Deployments);
            Ok(DeploymentReply::Done)
        }
        DeploymentRequest::Prune => prune(context).map(DeploymentReply::Pruned),
        DeploymentRequest::SetFolderImports { folder, files } => {
            context.db.run(DELETE_IMPORTS, [folder])?;
            for (path, sha256) in files {
                context.db.run(INSERT_IMPORT, params![folder, path, sha256])?;
            }
            Ok(DeploymentReply::Done)
        }
        _ => Err(not_a_write()),
    }
}

/// Does a read.
pub(super) fn read(context: &ReadContext<'_>, request: &DeploymentRequest) -> DbResult<DeploymentReply> {
    let db = context.db;
    match request {
        DeploymentRequest::List { group, after, limit } => {
            let below = after.unwrap_or(i64::MAX as u64);
            db.all(LIST, params![below, limit, group], summary)
                .map(DeploymentReply::List)
        }
        DeploymentRequest::Serving => db.all(SERVING, [], summary).map(DeploymentReply::List),
        DeploymentRequest::Get { number } => record(db, *number).map(DeploymentReply::One),
        DeploymentRequest::Live { group } => {
            let number: Option<u64> = db.one(LIVE_NUMBER, [group], |row| row.get(0))?;
            let live = number.map(|number| record(db, number)).transpose()?;
            Ok(DeploymentReply::One(live.flatten()))
        }
        DeploymentRequest::Files { number } => files(db, *number).map(DeploymentReply::Files),
        DeploymentRequest::Preparations { number } => {
            let rows = db.all(PREPARATIONS, [number], |row| {
                Ok(Preparation {
                    server: row.get(0)?,
                    instance: InstanceId::from_text(row.get::<_, String>(1)?),
                    state: word_column(row, 2)?,
                    error: row.get(3)?,
                })
            })?;
            Ok(DeploymentReply::Preparations(rows))
        }
        DeploymentRequest::CanaryCounts { number } => {
            let servers: Vec<CanaryCounts> = db.all(CANARY_COUNTS, [number], |row| json_column(row, 0))?;
            let mut all = CanaryCounts::default();
            for counts in &servers {
                all.add(counts);
            }
            Ok(DeploymentReply::CanaryCounts(all))
        }
        DeploymentRequest::FolderImports { folder } => {
            let rows = db.all(IMPORTS, [folder], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(DeploymentReply::FolderImports(rows.into_iter().collect()))
        }
        _ => Err(not_a_read()),
    }
}

/// Drops deployments that are too old, and contents that none uses.
pub(super) fn trim(context: &mut WriteContext<'_>) -> DbResult<()> {
    prune(context).map(|_| ())
}

fn begin(context: &mut WriteContext<'_>, deployment: &NewDeployment, state: DeploymentState) -> DbResult<u64> {
    if !matches!(state, DeploymentState::Preparing | DeploymentState::Refused) {
        return Err(StoreError::Invalid("a deployment begins as preparing or refused".to_owned()).into());
    }
    check_files(&deployment.files)?;
    let params = params![
        deployment.group,
        to_word(&state)?,
        deployment.source,
        context.now.as_millis(),
        to_json(&deployment.refused)?,
        to_json(&deployment.services)?,
        deployment.services.len(),
        deployment.canary.as_ref().map(to_json).transpose()?,
    ];
    let number: u64 = context
        .db
        .one(INSERT, params, |row| row.get(0))?
        .ok_or_else(|| StoreError::Storage("a new deployment got no number".to_owned()))?;
    for file in &deployment.files {
        let content: &[u8] = &file.content;
        context
            .db
            .run(INSERT_CONTENT, params![file.sha256, content.len(), content])?;
        context.db.run(INSERT_FILE, params![number, file.path, file.sha256])?;
    }
    context.changes.add(Change::Deployments);
    Ok(number)
}

fn check_files(files: &[DeploymentFile]) -> DbResult<()> {
    let mut paths = BTreeSet::new();
    for file in files {
        let path = &file.path;
        if !paths.insert(path) {
            return Err(StoreError::Invalid(format!("file '{path}' is in the deployment twice")).into());
        }
        if DeploymentFile::hash(&file.content) != file.sha256 {
            return Err(StoreError::Invalid(format!("file '{path}' is not what its hash says")).into());
        }
    }
    Ok(())
}

fn commit(context: &mut WriteContext<'_>, number: u64) -> DbResult<()> {
    let (group, state, _) = state(context.db, number)?;
    match state {
        DeploymentState::Live => return Ok(()),
        DeploymentState::Preparing => {}
        DeploymentState::Canary
        | DeploymentState::Superseded
        | DeploymentState::Refused
        | DeploymentState::RolledBack => {
            return Err(StoreError::Conflict(format!("deployment {number} is no longer being prepared")).into());
        }
    }
    check_newest(context, &group, number)?;
    make_live(context, &group, number)
}

/// Refuses what would overtake a later deployment, or a canary that is not decided.
fn check_newest(context: &WriteContext<'_>, group: &str, number: u64) -> DbResult<Option<u64>> {
    let live: Option<u64> = context.db.one(LIVE_NUMBER, [group], |row| row.get(0))?;
    if let Some(live) = live
        && live > number
    {
        return Err(StoreError::Conflict(format!("deployment {live} is live already, and newer than {number}")).into());
    }
    let canary: Option<u64> = context.db.one(CANARY_NUMBER, [group], |row| row.get(0))?;
    if let Some(canary) = canary {
        return Err(StoreError::Conflict(format!("deployment {canary} is a canary that is not decided")).into());
    }
    Ok(live)
}

fn make_live(context: &mut WriteContext<'_>, group: &str, number: u64) -> DbResult<()> {
    context.db.run(SUPERSEDE, [group])?;
    context.db.run(MAKE_LIVE, params![number, context.now.as_millis()])?;
    context.changes.add(Change::Deployments);
    Ok(())
}

fn begin_canary(context: &mut WriteContext<'_>, number: u64) -> DbResult<()> {
    let (group, state, _) = state(context.db, number)?;
    match state {
        DeploymentState::Canary => return Ok(()),
        DeploymentState::Preparing => {}
        _ => return Err(StoreError::Conflict(format!("deployment {number} is no longer being prepared")).into()),
    }
    if check_newest(context, &group, number)?.is_none() {
        return Err(StoreError::Conflict(format!("no deployment of group {group} is live")).into());
    }
    context.db.run(MAKE_CANARY, params![number, context.now.as_millis()])?;
    context.changes.add(Change::Deployments);
    Ok(())
}

fn end_canary(context: &mut WriteContext<'_>, number: u64, is_promoted: bool, reason: &str) -> DbResult<()> {
    let (group, state, _) = state(context.db, number)?;
    if state != DeploymentState::Canary {
        return Err(StoreError::Conflict(format!("deployment {number} is no canary")).into());
    }
    context.db.run(DELETE_CANARY_COUNTS, [number])?;
    context.db.run(GIVE_REASON, params![number, reason])?;
    if is_promoted {
        return make_live(context, &group, number);
    }
    context.db.run(ROLL_BACK, [number])?;
    context.changes.add(Change::Deployments);
    Ok(())
}

fn refuse(context: &mut WriteContext<'_>, number: u64, added: &[RefusedFile]) -> DbResult<()> {
    let (_, state, mut refused) = state(context.db, number)?;
    if state != DeploymentState::Preparing {
        return Err(StoreError::Conflict(format!("deployment {number} is not being prepared")).into());
    }
    refused.extend_from_slice(added);
    context.db.run(REFUSE, params![number, to_json(&refused)?])?;
    context.changes.add(Change::Deployments);
    Ok(())
}

fn prune(context: &mut WriteContext<'_>) -> DbResult<u64> {
    let kept = context.settings.deployments_kept;
    let old: Vec<u64> = context.db.all(OLD, [kept], |row| row.get(0))?;
    for number in &old {
        context.db.run(DELETE_FILES, [number])?;
        context.db.run(DELETE_PREPARATIONS, [number])?;
        context.db.run(DELETE, [number])?;
    }
    if !old.is_empty() {
        context.db.run(DELETE_CONTENTS, [])?;
        context.changes.add(Change::Deployments);
    }
    Ok(old.len() as u64)
}

fn state(db: &Connection, number: u64) -> DbResult<(String, DeploymentState, Vec<RefusedFile>)> {
    db.one(STATE, [number], |row| {
        Ok((row.get(0)?, word_column(row, 1)?, json_column(row, 2)?))
    })?
    .ok_or_else(|| StoreError::NotFound(format!("deployment {number}")).into())
}

fn record(db: &Connection, number: u64) -> DbResult<Option<Box<DeploymentRecord>>> {
    let record = db.one(GET, [number], |row| {
        Ok(DeploymentRecord {
            number: row.get(0)?,
            group: row.get(1)?,
            state: word_column(row, 2)?,
            source: row.get(3)?,
            created_at: time_column(row, 4)?,
            live_at: optional_time_column(row, 5)?,
            refused: json_column(row, 6)?,
            services: json_column(row, 7)?,
            canary: canary_terms(row, 8)?,
            canary_at: optional_time_column(row, 9)?,
            reason: row.get(10)?,
            files: Vec::new(),
        })
    })?;
    let Some(mut record) = record else { return Ok(None) };
    record.files = db.all(HASHES, [number], |row| {
        Ok(FileHash {
            path: row.get(0)?,
            sha256: row.get(1)?,
            size_bytes: row.get(2)?,
        })
    })?;
    Ok(Some(Box::new(record)))
}

fn files(db: &Connection, number: u64) -> DbResult<Vec<DeploymentFile>> {
    state(db, number)?;
    db.all(FILES, [number], |row| {
        Ok(DeploymentFile {
            path: row.get(0)?,
            sha256: row.get(1)?,
            content: Bytes::from(row.get::<_, Vec<u8>>(2)?),
        })
    })
}

fn summary(row: &Row<'_>) -> rusqlite::Result<DeploymentSummary> {
    Ok(DeploymentSummary {
        number: row.get(0)?,
        group: row.get(1)?,
        state: word_column(row, 2)?,
        source: row.get(3)?,
        created_at: time_column(row, 4)?,
        files: row.get(5)?,
        services: row.get(6)?,
        refused: json_column(row, 7)?,
        canary: canary_terms(row, 8)?,
        reason: row.get(9)?,
    })
}

fn canary_terms(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<CanaryTerms>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        _ => json_column(row, column).map(Some),
    }
}
