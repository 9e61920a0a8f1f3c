//! Tests with SQLite files.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{KIND, extend, query, run};
use crate::behavior::{OtherSide, connect, context, outgoing_suite};
use crate::connector::{Outgoing, OutgoingCall, OutgoingError};

struct SqliteFile {
    directory: TempDir,
}

impl SqliteFile {
    fn folder(&self) -> PathBuf {
        self.directory.path().join("folder")
    }
}

#[async_trait]
impl OtherSide for SqliteFile {
    const KIND: &'static str = KIND;
    const STOPS: bool = false;

    async fn prepare() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    async fn start(&mut self) {
        std::fs::create_dir(self.folder()).unwrap();
    }

    async fn stop(&mut self) {}

    fn body(&self) -> Value {
        json!({"url": format!("sqlite:{}/db.sqlite", self.folder().display()), "timeout": "5s"})
    }

    fn quick_call(&self) -> OutgoingCall {
        query("one", "SELECT 1 AS one", json!({}))
    }

    fn slow_call(&self) -> OutgoingCall {
        let endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c";
        query("one", endless, json!({}))
    }
}

outgoing_suite!(SqliteFile);

fn file(extra: Value) -> (TempDir, Arc<dyn Outgoing>) {
    let directory = tempfile::tempdir().unwrap();
    let mut body = json!({"url": format!("sqlite:{}/db.sqlite", directory.path().display())});
    extend(&mut body, extra);
    let connection = connect(KIND, &body, &context());
    (directory, connection)
}

#[tokio::test]
async fn operations_and_values_are_those_of_sqlite() {
    let (_directory, connection) = file(json!({}));
    let run = async |operation: &str, text: &str, params: Value| run(&*connection, operation, text, params).await;
    let create = "CREATE TABLE t (id INTEGER PRIMARY KEY, value)";
    assert_eq!(
        run("execute", create, json!({})).await.unwrap(),
        json!({"rows_affected": 0})
    );
    let insert = "INSERT INTO t (value) VALUES (:value) RETURNING id";
    for (index, (given, expected)) in [
        (json!(null), json!(null)),
        (json!(true), json!(1)),
        (json!(i64::MIN), json!(i64::MIN)),
        (json!(1.5), json!(1.5)),
        (json!("ü ' :x"), json!("ü ' :x")),
        (json!({"a": [1]}), json!("{\"a\":[1]}")),
    ]
    .into_iter()
    .enumerate()
    {
        let inserted = run("execute", insert, json!({"value": given})).await.unwrap();
        assert_eq!(inserted, json!({"rows_affected": 1, "rows": [{"id": index + 1}]}));
        let row = run("one", "SELECT value FROM t WHERE id = :id", json!({"id": index + 1}))
            .await
            .unwrap();
        assert_eq!(row, json!({"value": expected}));
    }
    assert_eq!(
        run("one", "SELECT x'00ff' AS b", json!({})).await.unwrap(),
        json!({"b": "AP8="})
    );
    assert_eq!(
        run("one", "SELECT 9e999 AS f", json!({})).await.unwrap(),
        json!({"f": "inf"})
    );
    assert_eq!(
        run("execute", "UPDATE t SET value = 1", json!({})).await.unwrap(),
        json!({"rows_affected": 6})
    );
    assert_eq!(
        run("execute", "DELETE FROM t WHERE id > 99", json!({})).await.unwrap(),
        json!({"rows_affected": 0})
    );
    assert_eq!(
        run("one", "SELECT id FROM t WHERE id = 99", json!({})).await.unwrap(),
        Value::Null
    );
    let trigger = "CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET value = 2; END";
    run("execute", trigger, json!({})).await.unwrap();
}

#[tokio::test]
async fn errors_say_whose_they_are_and_leave_the_connection_usable() {
    let (_directory, connection) = file(json!({"pool_size": 1, "rows_max": 10, "result_limit_bytes": 1000}));
    let run = async |text: &str, params: Value| run(&*connection, "all", text, params).await;
    run(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES t(id))",
        json!({}),
    )
    .await
    .unwrap();
    let endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c";
    let cases: Vec<(&str, Value, bool, &str)> = vec![
        ("SELEC 1", json!({}), false, "syntax"),
        ("SELECT * FROM nowhere", json!({}), false, "nowhere"),
        ("INSERT INTO t VALUES (1, 7)", json!({}), false, "FOREIGN KEY"),
        ("SELECT ?", json!({}), true, "':name'"),
        ("SELECT @a", json!({}), true, "':name'"),
        ("SELECT :a", json!({"a": u64::MAX}), true, "'a'"),
        ("SELECT :a", json!({}), true, "':a'"),
        ("SELECT 1; SELECT 2", json!({}), true, "one statement"),
        ("begin immediate", json!({}), true, "BEGIN"),
        (endless, json!({}), false, "10 rows"),
        ("SELECT printf('%2000s', 'x')", json!({}), false, "1000 bytes"),
    ];
    for (text, params, is_invalid, part) in cases {
        let error = run(text, params).await.unwrap_err();
        assert_eq!(
            matches!(error, OutgoingError::Invalid(_)),
            is_invalid,
            "{text}: {error:?}"
        );
        assert_eq!(
            matches!(error, OutgoingError::Failed(_)),
            !is_invalid,
            "{text}: {error:?}"
        );
        assert!(error.to_string().contains(part), "{text}: {error}");
        assert_eq!(
            run("SELECT 1 AS n", json!({})).await.unwrap(),
            json!([{"n": 1}]),
            "after {text}"
        );
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_and_one_that_is_locked_are_told_apart() {
    let (directory, connection) = file(json!({"timeout": "300ms"}));
    let path = directory.path().join("db.sqlite");
    run(&*connection, "execute", "CREATE TABLE t (a)", json!({}))
        .await
        .unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = run(&*connection, "execute", "INSERT INTO t VALUES (1)", json!({}))
        .await
        .unwrap_err();
    assert!(
        matches!(error, OutgoingError::Unavailable(_) | OutgoingError::Timeout(_)),
        "{error:?}"
    );
    other.execute_batch("COMMIT").unwrap();
    run(&*connection, "execute", "INSERT INTO t VALUES (1)", json!({}))
        .await
        .unwrap();

    let text_file = directory.path().join("text");
    std::fs::write(
        &text_file,
        "this is a text and no database, whatever one calls it ".repeat(100),
    )
    .unwrap();
    let body = json!({"url": format!("sqlite:{}", text_file.display())});
    let error = connect(KIND, &body, &context()).ping(None).await.unwrap_err();
    assert!(
        matches!(&error, OutgoingError::Failed(text) if text.contains("not a database")),
        "{error:?}"
    );
}
