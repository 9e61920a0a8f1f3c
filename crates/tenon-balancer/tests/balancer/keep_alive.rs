//! Connections on both sides are used again, and end when they should.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tenon_balancer::{ServerState, Upstreams};
use tenon_model::DurationText;

use crate::harness::{Cluster, PATIENCE, settings, status};

const GET: &str = "GET / HTTP/1.1\r\nhost: t\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_serves_many_requests_on_both_sides() {
    let mut settings = settings();
    settings.health_interval = DurationText::from_secs(60);
    let cluster = Cluster::start(1, settings).await;
    let checks = cluster.backends[0].behaviour.connections.load(Ordering::SeqCst);
    let mut client = cluster.connect().await;
    for _ in 0..20 {
        client.send(GET).await;
        assert!(client.until("server1").await.starts_with("HTTP/1.1 200"));
    }
    assert_eq!(
        cluster.backends[0].behaviour.connections.load(Ordering::SeqCst) - checks,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let cluster = Cluster::start(2, settings()).await;
    let bodies = ["one", "two", "three", "four"];
    let requests: String = bodies
        .iter()
        .map(|body| {
            format!(
                "POST /echo HTTP/1.1\r\nhost: t\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
        })
        .collect();
    let answer = cluster.raw(requests).await;
    let places: Vec<usize> = bodies
        .iter()
        .map(|body| answer.find(&format!("\r\n\r\n{body}")).unwrap())
        .collect();
    assert!(places.is_sorted(), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_and_wishes_decide_whether_a_connection_stays() {
    let cluster = Cluster::start(1, settings()).await;
    for (request, expected) in [
        ("GET / HTTP/1.0\r\nhost: t\r\n\r\n", "connection: close"),
        (
            "GET / HTTP/1.0\r\nhost: t\r\nconnection: keep-alive\r\n\r\n",
            "connection: keep-alive",
        ),
        (
            "GET / HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n",
            "connection: close",
        ),
        ("GET /until-close HTTP/1.1\r\nhost: t\r\n\r\n", "connection: close"),
    ] {
        let answer = cluster.raw(request).await;
        assert!(
            status(&answer) == 200 && answer.contains(expected),
            "{request}: {answer}"
        );
    }
    assert!(!cluster.get("/").await.contains("connection:"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_or_chatty_server_connection_is_not_used_again() {
    let cluster = Cluster::start(1, settings()).await;
    for path in ["/then-close", "/garbage"] {
        for _ in 0..5 {
            let answer = cluster.get(path).await;
            assert_eq!(
                (status(&answer), answer.matches("HTTP/1.1").count()),
                (200, 1),
                "{answer}"
            );
            let request = "POST /echo HTTP/1.1\r\nhost: t\r\ncontent-length: 2\r\n\r\nhi";
            let answer = cluster.raw(request).await;
            assert!(status(&answer) == 200 && answer.ends_with("hi"), "{answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_tells_clients_and_then_ends() {
    let mut settings = settings();
    settings.drain_idle_timeout = DurationText::from_secs(10);
    settings.drain_timeout = DurationText::from_secs(15);
    let mut cluster = Cluster::start(1, settings).await;
    let mut client = cluster.connect().await;
    client.send(GET).await;
    client.until("server1").await;
    cluster.stop.cancel();
    tokio::time::sleep(Duration::from_millis(100)).await;
    client.send(GET).await;
    let answer = client.rest().await;
    assert!(
        answer.contains("connection: close") && answer.ends_with("server1"),
        "{answer}"
    );
    let ended = tokio::time::timeout(Duration::from_secs(5), &mut cluster.running).await;
    assert!(matches!(ended, Ok(Ok(Ok(())))), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_during_a_drain_is_answered_while_kept_connections_are_waited_for() {
    let mut settings = settings();
    settings.drain_idle_timeout = DurationText::from_secs(20);
    let mut cluster = Cluster::start(1, settings).await;
    let mut kept = cluster.connect().await;
    kept.send(GET).await;
    kept.until("server1").await;
    cluster.stop.cancel();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let answer = cluster.raw(GET).await;
    assert!(
        answer.contains("connection: close") && answer.ends_with("server1"),
        "{answer}"
    );
    kept.send(GET).await;
    assert!(kept.rest().await.ends_with("server1"));
    assert!(tokio::time::timeout(PATIENCE, &mut cluster.running).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_idle_and_then_busy_connections() {
    let mut settings = settings();
    settings.drain_idle_timeout = DurationText::from_millis(200);
    settings.drain_timeout = DurationText::from_millis(800);
    let mut cluster = Cluster::start(1, settings).await;
    let mut idle = cluster.connect().await;
    idle.send(GET).await;
    idle.until("server1").await;
    let mut busy = cluster.connect().await;
    busy.send("GET /hang HTTP/1.1\r\nhost: t\r\n\r\n").await;
    cluster.until(|status| status.servers[0].in_flight == 1).await;
    cluster.stop.cancel();
    assert_eq!(idle.rest().await, "");
    assert_eq!(busy.rest().await, "");
    assert!(tokio::time::timeout(PATIENCE, &mut cluster.running).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_servers_changes_while_requests_go_on() {
    let cluster = Cluster::start(2, settings()).await;
    let whole = cluster.servers.borrow().clone();
    let mut only_second = whole.clone();
    only_second.servers[0].state = ServerState::Draining;
    cluster.servers.send_replace(only_second);
    cluster
        .until(|status| status.servers[0].state == ServerState::Draining)
        .await;
    for _ in 0..6 {
        assert!(cluster.get("/").await.ends_with("server2"));
    }
    cluster.servers.send_replace(Upstreams {
        servers: vec![whole.servers[0].clone()],
    });
    cluster.until(|status| status.servers.len() == 1 && status.ready).await;
    for _ in 0..6 {
        assert!(cluster.get("/").await.ends_with("server1"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_waits_for_goes_to_nobody_else() {
    let mut settings = settings();
    settings.health_interval = DurationText::from_secs(60);
    let cluster = Cluster::start(1, settings).await;
    let frozen = &cluster.backends[0].behaviour.frozen;
    frozen.store(true, Ordering::SeqCst);
    let mut impatient = cluster.connect().await;
    impatient.send(GET).await;
    cluster.until(|status| status.servers[0].in_flight == 1).await;
    // Its connection is reset, so that not a byte of the answer can be written.
    impatient.stream.set_zero_linger().unwrap();
    drop(impatient);
    frozen.store(false, Ordering::SeqCst);
    cluster.until(|status| status.servers[0].in_flight == 0).await;
    // The next connection reads and writes with the memory of that one.
    let answer = cluster.get("/echo").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(!answer.contains("server1"), "{answer}");
}
