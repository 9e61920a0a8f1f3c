//! What is particular to this engine; what every engine must do is in `conformance`.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tenon_model::{ManualClock, OperationId, SystemRandom, Timestamp};

use super::*;
use crate::objects::ObjectRequest;

fn open(dir: &Path, clock: &Arc<ManualClock>) -> Result<SqliteEngine, StoreError> {
    let settings = SqliteSettings {
        lock_wait: tenon_model::DurationText(Duration::ZERO),
        ..SqliteSettings::default()
    };
    SqliteEngine::open(dir, settings, Arc::<ManualClock>::clone(clock))
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_000_000)))
}

#[test]
fn every_statement_can_be_prepared() {
    let connection = Connection::open_in_memory().unwrap();
    schema::migrate(&connection, Path::new("memory")).unwrap();
    let files = [
        answers::STATEMENTS,
        background::STATEMENTS,
        background::CLAIM,
        background::FINISH,
        counters::STATEMENTS,
        deployments::STATEMENTS,
        leases::STATEMENTS,
        locks::STATEMENTS,
        members::STATEMENTS,
        objects::STATEMENTS,
        operations::STATEMENTS,
        readers::STATEMENTS,
        runs::STATEMENTS,
        runs::CLAIM,
        runs::LEDGER,
        runs::PLAN,
        secrets::STATEMENTS,
        users::STATEMENTS,
        writer::STATEMENTS,
    ];
    for (name, sql) in files.into_iter().flatten() {
        if let Err(error) = connection.prepare(sql) {
            panic!("{name}: {error}\n{sql}");
        }
    }
}

#[test]
fn what_is_looked_for_often_is_found_by_an_index() {
    let connection = Connection::open_in_memory().unwrap();
    schema::migrate(&connection, Path::new("memory")).unwrap();
    for (name, sql) in [runs::CLAIM, runs::PLAN, operations::STATEMENTS, leases::STATEMENTS]
        .into_iter()
        .flatten()
    {
        if ["CURSORS", "RANGE"].contains(name) {
            continue;
        }
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().unwrap() {
            let detail: String = row.get(3).unwrap();
            let scans_all = detail.starts_with("SCAN") && !detail.contains("USING");
            assert!(!scans_all, "{name}: {detail}\n{sql}");
        }
    }
}

#[tokio::test]
async fn only_one_engine_has_a_directory_open() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let first = open(dir.path(), &clock).unwrap();
    let second = open(dir.path(), &clock).unwrap_err();
    assert!(matches!(second, StoreError::Locked(_)), "{second}");
    assert!(second.to_string().contains("another process"), "{second}");
    drop(first);
    let waits = SqliteEngine::open(dir.path(), SqliteSettings::default(), clock);
    assert!(waits.is_ok());
}

#[tokio::test]
async fn an_operation_is_done_once_also_across_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let call = Call {
        operation: Some(OperationId::generate(&SystemRandom)),
        request: ObjectRequest::Write {
            changes: vec![crate::ObjectChange::Put {
                key: tenon_model::ObjectKey::new("sample", "one".parse().unwrap()),
                body: serde_json::json!({"a": 1}),
                manifest: None,
                if_version: Some(0),
            }],
            actor: "test".to_owned(),
        }
        .into(),
    };
    let engine = open(dir.path(), &clock).unwrap();
    let first = engine.execute(call.clone()).await.unwrap();
    assert_eq!(engine.execute(call.clone()).await.unwrap(), first);
    drop(engine);
    let engine = SqliteEngine::open(dir.path(), SqliteSettings::default(), clock).unwrap();
    assert_eq!(engine.execute(call).await.unwrap(), first);
}

#[tokio::test]
async fn ids_of_operations_are_forgotten_after_their_time() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = crate::Store::new(Arc::new(open(dir.path(), &clock).unwrap()), Arc::new(SystemRandom));
    let engine = store.engine();
    store
        .acquire_lease("a", &tenon_model::InstanceId::from_text("x"), 1_000)
        .await
        .unwrap();
    let count = || -> u64 {
        let connection = Connection::open(dir.path().join(FILE)).unwrap();
        connection
            .query_row("SELECT count(*) FROM operations", [], |row| row.get(0))
            .unwrap()
    };
    engine.maintain().await.unwrap();
    assert_eq!(count(), 1);
    clock.advance(Duration::from_secs(601));
    engine.maintain().await.unwrap();
    assert_eq!(count(), 0);
}
