//! Tests against a real PostgreSQL and real SQLite files.

mod scanner;
mod server;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use tenon_model::{Kind, ObjectName};
use tokio::time::{Instant, timeout};

use self::server::PostgresServer;
use super::config::SqlOutgoing;
use crate::behavior::{OtherSide, connect, context, outgoing_suite};
use crate::connector::{Connector, Outgoing, OutgoingCall, OutgoingError};

const KIND: &str = "sql-outgoing";

#[async_trait]
impl OtherSide for PostgresServer {
    const KIND: &'static str = KIND;

    async fn prepare() -> Self {
        Self::prepare_at_free_port().await
    }

    async fn start(&mut self) {
        self.start_and_wait().await;
    }

    async fn stop(&mut self) {
        self.crash();
    }

    fn body(&self) -> Value {
        json!({"url": self.url(""), "password": "hunter2", "timeout": "20s"})
    }

    fn quick_call(&self) -> OutgoingCall {
        query("one", "SELECT 1 AS one", json!({}))
    }

    fn slow_call(&self) -> OutgoingCall {
        query("one", "SELECT pg_sleep(4)", json!({}))
    }
}

outgoing_suite!(PostgresServer);

fn query(operation: &str, text: &str, params: Value) -> OutgoingCall {
    OutgoingCall {
        operation: operation.to_owned(),
        arguments: Value::Object(Map::from_iter([
            ("query".to_owned(), json!(text)),
            ("params".to_owned(), params),
        ])),
        ..OutgoingCall::default()
    }
}

async fn run(connection: &dyn Outgoing, operation: &str, text: &str, params: Value) -> Result<Value, OutgoingError> {
    let reply = timeout(Duration::from_mins(1), connection.call(query(operation, text, params)))
        .await
        .unwrap()?;
    assert_eq!(reply.result, Value::Null);
    Ok(serde_json::from_slice(&reply.body).unwrap())
}

/// A running server and a connection to it.
async fn postgres(extra: Value) -> (PostgresServer, Arc<dyn Outgoing>) {
    let mut server = PostgresServer::prepare_at_free_port().await;
    server.start_and_wait().await;
    let connection = connection_to(&server, "", extra);
    (server, connection)
}

fn connection_to(server: &PostgresServer, query: &str, extra: Value) -> Arc<dyn Outgoing> {
    let mut body = json!({"url": server.url(query), "password": "hunter2"});
    extend(&mut body, extra);
    connect(KIND, &body, &context())
}

/// Sets fields of a body.
fn extend(body: &mut Value, extra: Value) {
    let Value::Object(extra) = extra else {
        panic!("{extra} is no object")
    };
    body.as_object_mut().unwrap().extend(extra);
}

#[test]
fn the_schema_is_as_documented() {
    let kind = Kind::of::<SqlOutgoing>();
    let described = json!({"title": kind.title, "secrets": kind.secret_fields, "schema": kind.schema});
    insta::assert_json_snapshot!("schema", described);
    insta::assert_json_snapshot!("defaults", kind.normalize(&json!({"url": "sqlite:/a"})).unwrap());
}

#[test]
fn wrong_bodies_are_refused_with_their_field_and_without_their_password() {
    let check = |body: &Value| Kind::of::<SqlOutgoing>().check(body);
    for url in [
        "",
        "mysql://u@h/d",
        "postgresql://u:hunter2@h/d",
        "postgresql://h/d",
        "postgresql://u@h/d?sslmode=prefer",
        "postgresql://u@h/d?options=x",
        "sqlite:relative",
        "sqlite::memory:",
        "postgresql://u@h:port/d",
    ] {
        let problems = check(&json!({"url": url}));
        assert_eq!(problems.len(), 1, "{url}");
        assert_eq!(problems[0].field, "url", "{url}");
        assert!(!problems[0].to_string().contains("hunter2"), "{problems:?}");
    }
    for (field, value) in [
        ("pool_size", json!(0)),
        ("rows_max", json!(0)),
        ("timeout", json!("0s")),
    ] {
        assert_eq!(check(&json!({"url": "sqlite:/a", field: value}))[0].field, field);
    }
    for url in [
        "postgresql://u@h/d?sslmode=require",
        "postgres://u@h:1/d",
        "sqlite:///a/b",
        "${DB_URL}",
    ] {
        assert!(check(&json!({"url": url})).is_empty(), "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_give_rows_counts_or_nothing() {
    let (_server, connection) = postgres(json!({})).await;
    let run = async |operation: &str, text: &str, params: Value| run(&*connection, operation, text, params).await;
    let created = run(
        "execute",
        "CREATE TABLE account (id serial PRIMARY KEY, user_name text UNIQUE, balance numeric)",
        json!({}),
    );
    assert_eq!(created.await.unwrap(), json!({"rows_affected": 0}));
    let insert = "INSERT INTO account (user_name, balance) VALUES (:name, :balance) RETURNING id";
    for (name, balance) in [("anna", json!("10.50")), ("o'neill", json!(7))] {
        let inserted = run(
            "execute",
            insert,
            json!({"name": name, "balance": balance, "ignored": 1}),
        )
        .await
        .unwrap();
        assert_eq!(inserted["rows_affected"], 1);
        assert!(inserted["rows"][0]["id"].is_i64(), "{inserted}");
    }
    let by_name = "SELECT balance FROM account WHERE user_name = :name";
    assert_eq!(
        run("one", by_name, json!({"name": "anna"})).await.unwrap(),
        json!({"balance": 10.5})
    );
    assert_eq!(
        run("one", by_name, json!({"name": "nobody"})).await.unwrap(),
        Value::Null
    );
    assert_eq!(
        run("all", "SELECT user_name FROM account ORDER BY id", json!({}))
            .await
            .unwrap(),
        json!([{"user_name": "anna"}, {"user_name": "o'neill"}])
    );
    let several = run("one", "SELECT * FROM account", json!({})).await.unwrap_err();
    assert!(
        matches!(&several, OutgoingError::Failed(text) if text.contains("at most one row")),
        "{several:?}"
    );
    let updated = run(
        "execute",
        "UPDATE account SET balance = balance + :more WHERE balance > :more",
        json!({"more": 1}),
    );
    assert_eq!(updated.await.unwrap(), json!({"rows_affected": 2}));
    let ping = connection.call(query("ping", "", json!({}))).await.unwrap();
    assert!(ping.result.as_str().unwrap().starts_with("PostgreSQL "), "{ping:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_every_simple_type_go_in_and_come_back() {
    let (_server, connection) = postgres(json!({})).await;
    for (of_type, given, expected) in values() {
        let text = format!("SELECT CAST(:value AS {of_type}) AS value");
        let row = run(&*connection, "one", &text, json!({"value": given})).await;
        assert_eq!(
            row.as_ref().ok(),
            Some(&json!({"value": expected})),
            "{of_type} {given}: {row:?}"
        );
        let row = run(&*connection, "one", &text, json!({"value": null})).await;
        assert_eq!(row, Ok(json!({"value": null})), "{of_type} null");
    }
}

/// Types, what is given, and what comes back.
fn values() -> Vec<(&'static str, Value, Value)> {
    let mut values = numbers();
    values.extend([
        ("text", json!("ü ' \" \\ :x"), json!("ü ' \" \\ :x")),
        ("text", json!(5), json!("5")),
        ("varchar(3)", json!("abc"), json!("abc")),
        (
            "json",
            json!({"b": 1, "a": [null, "x"]}),
            json!({"b": 1, "a": [null, "x"]}),
        ),
        ("jsonb", json!("text"), json!("text")),
        ("date", json!("2024-02-29"), json!("2024-02-29")),
        ("date", json!("infinity"), json!("infinity")),
        ("time", json!("23:59:59.5"), json!("23:59:59.5")),
        ("timestamp", json!("2024-02-29T10:00:00"), json!("2024-02-29T10:00:00")),
        (
            "timestamp",
            json!("2024-02-29T10:00:00+02:00"),
            json!("2024-02-29T08:00:00"),
        ),
        (
            "timestamptz",
            json!("2024-02-29T10:00:00.123456+02:00"),
            json!("2024-02-29T08:00:00.123456Z"),
        ),
        ("timestamptz", json!("2024-02-29 10:00"), json!("2024-02-29T10:00:00Z")),
        ("timestamptz", json!("-infinity"), json!("-infinity")),
        (
            "interval",
            json!("1 year 2 months 3 days 04:05:06.5"),
            json!("P1Y2M3DT4H5M6.5S"),
        ),
        ("interval", json!("-1 second"), json!("PT-1S")),
        (
            "uuid",
            json!("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"),
            json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ),
        ("bytea", json!("AP8="), json!("AP8=")),
        ("int4[]", json!([1, null, 3]), json!([1, null, 3])),
        (
            "text[]",
            json!(["a\"b\\c", "{d,e}", "NULL", ""]),
            json!(["a\"b\\c", "{d,e}", "NULL", ""]),
        ),
        ("numeric[]", json!(["1.5", 2]), json!([1.5, 2])),
        ("jsonb[]", json!([{"a": [1]}, [2]]), json!([{"a": [1]}, [2]])),
        ("uuid[]", json!([]), json!([])),
    ]);
    values
}

fn numbers() -> Vec<(&'static str, Value, Value)> {
    vec![
        ("bool", json!(true), json!(true)),
        ("bool", json!(0), json!(false)),
        ("int2", json!(-7), json!(-7)),
        ("int4", json!(2.0), json!(2)),
        ("int4", json!("12"), json!(12)),
        ("int8", json!(i64::MAX), json!(i64::MAX)),
        ("float4", json!(0.1), json!(0.1)),
        ("float8", json!(1e300), json!(1e300)),
        ("float8", json!("NaN"), json!("NaN")),
        ("numeric", json!("12.50"), json!(12.5)),
        ("numeric", json!("-0.00012"), json!(-0.00012)),
        ("numeric", json!("100000000"), json!(100_000_000)),
        ("numeric", json!("0.00"), json!(0)),
        ("numeric", json!("9007199254740993.1"), json!("9007199254740993.1")),
        (
            "numeric",
            json!("123456789012345678901234567890"),
            json!("123456789012345678901234567890"),
        ),
        ("numeric", json!("0.000000000000000000012300"), json!(1.23e-20)),
        ("numeric", json!("NaN"), json!("NaN")),
        (
            "numeric",
            json!("0.12345678901234567890"),
            json!("0.12345678901234567890"),
        ),
        ("numeric", json!("-70000.05"), json!(-70000.05)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn own_types_and_unusual_ones_are_clear() {
    let (_server, connection) = postgres(json!({})).await;
    let run = async |text: &str, params: Value| run(&*connection, "all", text, params).await;
    run("CREATE TYPE mood AS ENUM ('sad', 'happy')", json!({}))
        .await
        .unwrap();
    run("CREATE DOMAIN positive AS int CHECK (VALUE > 0)", json!({}))
        .await
        .unwrap();
    run("CREATE TABLE person (mood mood, age positive, moods mood[])", json!({}))
        .await
        .unwrap();
    let insert = "INSERT INTO person VALUES (:mood, :age, :moods)";
    run(insert, json!({"mood": "happy", "age": 3, "moods": ["sad"]}))
        .await
        .unwrap();
    assert_eq!(
        run("SELECT * FROM person", json!({})).await.unwrap(),
        json!([{"mood": "happy", "age": 3, "moods": ["sad"]}])
    );
    let error = run("SELECT '(1,2)'::point AS p", json!({})).await.unwrap_err();
    assert!(
        matches!(&error, OutgoingError::Failed(text) if text.contains("point") && text.contains("::text")),
        "{error:?}"
    );
    assert_eq!(
        run("SELECT '(1,2)'::point::text AS p", json!({})).await.unwrap(),
        json!([{"p": "(1,2)"}])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_whose_they_are_and_leave_the_connection_usable() {
    let (server, connection) = postgres(json!({"pool_size": 1})).await;
    let run = async |text: &str, params: Value| run(&*connection, "execute", text, params).await;
    run("CREATE TABLE t (id int PRIMARY KEY)", json!({})).await.unwrap();
    run("INSERT INTO t VALUES (1)", json!({})).await.unwrap();
    let invalid = |error: &OutgoingError| matches!(error, OutgoingError::Invalid(_));
    let failed = |error: &OutgoingError| matches!(error, OutgoingError::Failed(_));
    let cases: Vec<(&str, Value, bool, &str)> = vec![
        ("SELEC 1", json!({}), false, "42601"),
        ("SELECT * FROM nowhere", json!({}), false, "nowhere"),
        ("INSERT INTO t VALUES (:id)", json!({"id": 1}), false, "23505"),
        ("INSERT INTO t VALUES (:id)", json!({"id": "x"}), false, "22P02"),
        ("INSERT INTO t VALUES (:id)", json!({}), true, "':id'"),
        ("INSERT INTO t VALUES (:id)", json!({"id": 1.5}), true, "'id'"),
        ("INSERT INTO t VALUES (:id)", json!({"id": {}}), true, "'id'"),
        ("SELECT $1::int", json!({}), true, "':name'"),
        ("SELECT :a::text", json!({"a": "x\u{0}"}), true, "character 0"),
        ("/* x */ BEGIN", json!({}), true, "BEGIN"),
        ("SELECT 1; SELECT 2", json!({}), false, "42601"),
        ("  ", json!({}), true, "empty"),
    ];
    for (text, params, is_invalid, part) in cases {
        let error = run(text, params).await.unwrap_err();
        assert_eq!(
            (invalid(&error), failed(&error)),
            (is_invalid, !is_invalid),
            "{text}: {error:?}"
        );
        assert!(error.to_string().contains(part), "{text}: {error}");
        assert_eq!(
            run("SELECT 1 AS n", json!({})).await.unwrap()["rows"],
            json!([{"n": 1}]),
            "after {text}"
        );
    }
    let wrong = connection_to(&server, "", json!({"password": "hunter3"}));
    let error = wrong.ping(None).await.unwrap_err();
    assert!(matches!(error, OutgoingError::Refused(_)), "{error:?}");
    assert!(!error.to_string().contains("hunter3") && !format!("{wrong:?}").contains("hunter3"));
    let missing = connection_to(&server, "", json!({"password": null}))
        .ping(None)
        .await
        .unwrap_err();
    assert!(
        matches!(&missing, OutgoingError::Refused(text) if text.contains("'password'")),
        "{missing:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn results_beyond_the_limits_are_errors_and_the_next_call_works() {
    let (_server, connection) = postgres(json!({"rows_max": 10, "result_limit_bytes": 1000, "pool_size": 1})).await;
    for (text, part) in [
        ("SELECT generate_series(1, 100000000)", "10 rows"),
        ("SELECT repeat('x', 2000)", "1000 bytes"),
    ] {
        let error = run(&*connection, "all", text, json!({})).await.unwrap_err();
        assert!(
            matches!(&error, OutgoingError::Failed(said) if said.contains(part)),
            "{text}: {error:?}"
        );
        let ten = run(&*connection, "all", "SELECT generate_series(1, 10)", json!({}))
            .await
            .unwrap();
        assert_eq!(ten.as_array().unwrap().len(), 10);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_that_nobody_waits_for_end_in_the_database() {
    let (server, connection) = postgres(json!({})).await;
    let sleep = "SELECT pg_sleep(60) /* endless */";
    // Connecting is not what is measured here.
    connection.ping(None).await.unwrap();
    let call = OutgoingCall {
        deadline: Some(Instant::now() + Duration::from_millis(500)),
        ..query("one", sleep, json!({}))
    };
    let error = connection.call(call).await.unwrap_err();
    assert!(matches!(error, OutgoingError::Timeout(_)), "{error:?}");
    let running = "SELECT count(*) AS n FROM pg_stat_activity WHERE query LIKE :text AND state = 'active' AND pid <> pg_backend_pid()";
    let ended = async {
        while run(&*connection, "one", running, json!({"text": "%endless%"}))
            .await
            .unwrap()["n"]
            != 0
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), ended).await.unwrap();
    // The database ends a statement by itself, too.
    let limited = connection_to(&server, "", json!({"statement_timeout": "200ms"}));
    let error = run(&*limited, "one", sleep, json!({})).await.unwrap_err();
    assert!(
        matches!(&error, OutgoingError::Timeout(text) if text.contains("57014")),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_changes_does_not_break_prepared_statements() {
    let (_server, connection) = postgres(json!({"pool_size": 1})).await;
    let run = async |text: &str| run(&*connection, "all", text, json!({})).await.unwrap();
    run("CREATE TABLE t (a int)").await;
    run("INSERT INTO t VALUES (1)").await;
    assert_eq!(run("SELECT * FROM t").await, json!([{"a": 1}]));
    run("ALTER TABLE t ADD COLUMN b text DEFAULT 'x'").await;
    assert_eq!(run("SELECT * FROM t").await, json!([{"a": 1, "b": "x"}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_used_when_asked_for_and_its_certificate_checked() {
    let mut server = PostgresServer::prepare_at_free_port().await;
    let ca_file = server.enable_tls();
    server.start_and_wait().await;
    let is_encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let trusting = connection_to(&server, "?sslmode=require", json!({"ca_file": ca_file}));
    assert_eq!(
        run(&*trusting, "one", is_encrypted, json!({})).await.unwrap(),
        json!({"ssl": true})
    );
    let unchecked = connection_to(&server, "?sslmode=require", json!({"tls_verify": false}));
    assert_eq!(
        run(&*unchecked, "one", is_encrypted, json!({})).await.unwrap(),
        json!({"ssl": true})
    );
    let plain = connection_to(&server, "", json!({}));
    assert_eq!(
        run(&*plain, "one", is_encrypted, json!({})).await.unwrap(),
        json!({"ssl": false})
    );
    let distrusting = connection_to(&server, "?sslmode=require", json!({}));
    let error = run(&*distrusting, "one", is_encrypted, json!({})).await.unwrap_err();
    assert!(
        matches!(&error, OutgoingError::Unavailable(text) if text.contains("certificate")),
        "{error:?}"
    );
    // A cancelled statement ends over TLS as well.
    let call = OutgoingCall {
        deadline: Some(Instant::now() + Duration::from_millis(300)),
        ..query("one", "SELECT pg_sleep(60)", json!({}))
    };
    assert!(matches!(trusting.call(call).await, Err(OutgoingError::Timeout(_))));

    // A server without TLS is not spoken to in plain text.
    let (without, _) = postgres(json!({})).await;
    let error = connection_to(&without, "?sslmode=require", json!({"ca_file": ca_file}))
        .ping(None)
        .await
        .unwrap_err();
    assert!(matches!(error, OutgoingError::Unavailable(_)), "{error:?}");
}

#[test]
fn other_kinds_are_left_to_other_connectors() {
    let name: ObjectName = "x".parse().unwrap();
    assert!(
        super::Sql
            .outgoing("rest-outgoing", &name, &json!({}), &context())
            .is_none()
    );
    assert!(super::Sql.channel(KIND, &name, &json!({})).is_none());
}
