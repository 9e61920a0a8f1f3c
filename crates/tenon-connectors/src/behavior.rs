//! The suite that every outgoing connection must pass, against the real other side. A connector's tests implement
//! [`OtherSide`] and call [`outgoing_suite!`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tenon_model::{ManualRandom, ObjectName};
use tokio::time::{Instant, timeout};

use crate::connector::{Outgoing, OutgoingCall, OutgoingContext, OutgoingError};
use crate::settings::Settings;

/// More than anything here may take; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// A real system that the connection leads to.
#[async_trait]
pub(crate) trait OtherSide: Send + Sized {
    /// The kind under test.
    const KIND: &'static str;
    /// Whether it can be stopped once it ran (a file can't).
    const STOPS: bool = true;

    /// Prepares an address; nothing answers there yet.
    async fn prepare() -> Self;
    /// Makes it answer at its address, which never changes.
    async fn start(&mut self);
    /// Ends it as a crash would.
    async fn stop(&mut self);
    /// The body of a connection to it, without `pool_size`. A password in it is `hunter2`.
    fn body(&self) -> Value;
    /// A call that takes milliseconds and may be repeated.
    fn quick_call(&self) -> OutgoingCall;
    /// A call that takes at least four seconds.
    fn slow_call(&self) -> OutgoingCall;
}

/// Writes one test per behaviour for an [`OtherSide`].
macro_rules! outgoing_suite {
    ($side:ty) => {
        mod behavior {
            use super::*;
            use crate::behavior as suite;

            #[tokio::test(flavor = "multi_thread")]
            async fn a_ping_and_a_call_work() {
                suite::a_ping_and_a_call_work::<$side>().await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn down_is_said_at_once_and_recovers_by_itself() {
                suite::down_is_said_at_once_and_recovers_by_itself::<$side>().await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_call_ends_by_its_deadline() {
                suite::a_call_ends_by_its_deadline::<$side>().await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn no_more_calls_run_than_the_pool_has_room_for() {
                suite::no_more_calls_run_than_the_pool_has_room_for::<$side>().await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn calls_that_are_given_up_leave_nothing_behind() {
                suite::calls_that_are_given_up_leave_nothing_behind::<$side>().await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn closed_and_switched_off_connections_refuse() {
                suite::closed_and_switched_off_connections_refuse::<$side>().await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn wrong_calls_are_named_as_such() {
                suite::wrong_calls_are_named_as_such::<$side>().await;
            }
        }
    };
}
pub(crate) use outgoing_suite;

/// The context that tests give connections.
pub(crate) fn context() -> OutgoingContext {
    OutgoingContext::new(Arc::new(Settings::default()), Arc::new(ManualRandom::new(1)))
}

/// The live connection of a body, made as the server makes it.
pub(crate) fn connect(kind: &str, body: &Value, context: &OutgoingContext) -> Arc<dyn Outgoing> {
    let name: ObjectName = "Sample".parse().unwrap();
    crate::connectors()
        .iter()
        .find_map(|connector| connector.outgoing(kind, &name, body, context))
        .expect("the kind is known")
        .unwrap()
}

fn connection_to<S: OtherSide>(side: &S, extra: &Value) -> Arc<dyn Outgoing> {
    let mut body = side.body();
    body["pool_size"] = json!(2);
    for (field, value) in extra.as_object().unwrap() {
        body[field] = value.clone();
    }
    connect(S::KIND, &body, &context())
}

async fn started<S: OtherSide>() -> S {
    let mut side = S::prepare().await;
    side.start().await;
    side
}

fn with_deadline(call: OutgoingCall, after: Duration) -> OutgoingCall {
    OutgoingCall {
        deadline: Some(Instant::now() + after),
        ..call
    }
}

pub(crate) async fn a_ping_and_a_call_work<S: OtherSide>() {
    let side = started::<S>().await;
    let connection = connection_to(&side, &json!({}));
    let said = timeout(PATIENCE, connection.ping(None)).await.unwrap().unwrap();
    assert!(!said.is_empty());
    timeout(PATIENCE, connection.call(side.quick_call()))
        .await
        .unwrap()
        .unwrap();
    let status = connection.status();
    assert_eq!(status["connections_max"], 2, "{status}");
    assert_eq!(status["connections_in_use"], 0, "{status}");
    assert_eq!(status["connections_open"], 1, "{status}");
    for shown in [said, status.to_string(), format!("{connection:?}")] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

pub(crate) async fn down_is_said_at_once_and_recovers_by_itself<S: OtherSide>() {
    let mut side = S::prepare().await;
    let connection = connection_to(&side, &json!({}));
    let before = Instant::now();
    let ping = connection.ping(None).await.unwrap_err();
    assert!(matches!(ping, OutgoingError::Unavailable(_)), "{ping:?}");
    let call = connection.call(side.quick_call()).await.unwrap_err();
    assert!(matches!(call, OutgoingError::Unavailable(_)), "{call:?}");
    assert!(!call.to_string().contains("hunter2"), "{call}");
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());

    side.start().await;
    connection.call(side.quick_call()).await.unwrap();
    if !S::STOPS {
        return;
    }
    side.stop().await;
    connection.call(side.quick_call()).await.unwrap_err();
    side.start().await;
    connection.call(side.quick_call()).await.unwrap();
    // Restarted between two calls: the pooled connection is dead, and nobody noticed.
    side.stop().await;
    side.start().await;
    connection.call(side.quick_call()).await.unwrap();
    connection.ping(None).await.unwrap();
}

pub(crate) async fn a_call_ends_by_its_deadline<S: OtherSide>() {
    let side = started::<S>().await;
    let connection = connection_to(&side, &json!({}));
    connection.call(side.quick_call()).await.unwrap();
    let before = Instant::now();
    let error = connection
        .call(with_deadline(side.slow_call(), Duration::from_millis(300)))
        .await
        .unwrap_err();
    assert!(matches!(error, OutgoingError::Timeout(_)), "{error:?}");
    assert!(before.elapsed() < Duration::from_millis(3500), "{:?}", before.elapsed());
    connection.call(side.quick_call()).await.unwrap();
}

pub(crate) async fn no_more_calls_run_than_the_pool_has_room_for<S: OtherSide>() {
    let side = started::<S>().await;
    let connection = connection_to(&side, &json!({}));
    let slow: Vec<_> = (0..2)
        .map(|_| {
            let (connection, call) = (Arc::clone(&connection), side.slow_call());
            tokio::spawn(async move { connection.call(call).await })
        })
        .collect();
    until_in_use(&*connection, 2).await;
    let error = connection
        .call(with_deadline(side.quick_call(), Duration::from_millis(200)))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, OutgoingError::Unavailable(text) if text.contains("in use")),
        "{error:?}"
    );
    for call in slow {
        let _ = timeout(PATIENCE, call).await.unwrap().unwrap();
    }
    connection.call(side.quick_call()).await.unwrap();
    let open = connection.status()["connections_open"].as_u64().unwrap();
    assert!(open <= 2, "{open} connections are open");
}

pub(crate) async fn calls_that_are_given_up_leave_nothing_behind<S: OtherSide>() {
    let side = started::<S>().await;
    let connection = connection_to(&side, &json!({}));
    for _ in 0..3 {
        let (connection_of_task, call) = (Arc::clone(&connection), side.slow_call());
        let task = tokio::spawn(async move { connection_of_task.call(call).await });
        until_in_use(&*connection, 1).await;
        task.abort();
        until_in_use(&*connection, 0).await;
        connection.call(side.quick_call()).await.unwrap();
    }
}

pub(crate) async fn closed_and_switched_off_connections_refuse<S: OtherSide>() {
    let side = started::<S>().await;
    let connection = connection_to(&side, &json!({}));
    connection.call(side.quick_call()).await.unwrap();
    connection.close().await;
    for result in [
        connection.call(side.quick_call()).await.map(|_| ()),
        connection.ping(None).await.map(|_| ()),
    ] {
        assert!(
            matches!(&result, Err(OutgoingError::Unavailable(text)) if text.contains("closed")),
            "{result:?}"
        );
    }
    let off = connection_to(&side, &json!({"enabled": false}));
    let error = off.call(side.quick_call()).await.unwrap_err();
    assert!(
        matches!(&error, OutgoingError::Unavailable(text) if text.contains("switched off")),
        "{error:?}"
    );
}

pub(crate) async fn wrong_calls_are_named_as_such<S: OtherSide>() {
    let side = started::<S>().await;
    let connection = connection_to(&side, &json!({}));
    let quick = side.quick_call();
    for wrong in [
        OutgoingCall {
            operation: "no-such-operation".to_owned(),
            ..quick.clone()
        },
        OutgoingCall {
            arguments: json!({"no_such_argument": 1}),
            ..quick.clone()
        },
        OutgoingCall {
            arguments: json!([1]),
            ..quick.clone()
        },
        OutgoingCall {
            arguments: json!({"params": 7}),
            ..quick
        },
    ] {
        let error = connection.call(wrong.clone()).await.unwrap_err();
        assert!(matches!(error, OutgoingError::Invalid(_)), "{wrong:?} gave {error:?}");
    }
}

async fn until_in_use(connection: &dyn Outgoing, count: u64) {
    let reached = async {
        while connection.status()["connections_in_use"] != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, reached)
        .await
        .unwrap_or_else(|_| panic!("never {count} in use: {}", connection.status()));
}
