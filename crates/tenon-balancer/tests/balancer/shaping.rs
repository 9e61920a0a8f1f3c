//! Limits of connections and of requests as a whole.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Client, Cluster, eventually, settings, status};

/// Whether a connection is closed without a word.
async fn is_turned_away(mut client: Client) -> bool {
    // What is sent may meet a closed connection.
    let _ = tokio::io::AsyncWriteExt::write_all(
        &mut client.stream,
        b"GET / HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n",
    )
    .await;
    client.rest().await.is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_let_in_or_not_before_anything_is_read() {
    let cluster = Cluster::start(1, settings()).await;
    assert!(!is_turned_away(cluster.connect_from("127.0.0.2").await).await);
    cluster.configure(json!({"deny": ["127.0.0.2"]}), &[]).await;
    assert!(is_turned_away(cluster.connect_from("127.0.0.2").await).await);
    assert!(!is_turned_away(cluster.connect_from("127.0.0.3").await).await);
    cluster
        .configure(json!({"allow": ["127.0.0.2/31"], "deny": ["127.0.0.3"]}), &[])
        .await;
    assert!(!is_turned_away(cluster.connect_from("127.0.0.2").await).await);
    assert!(is_turned_away(cluster.connect_from("127.0.0.3").await).await);
    assert!(is_turned_away(cluster.connect_from("127.0.0.4").await).await);
    assert!(
        cluster
            .metrics()
            .contains("tenon_balancer_rejected_total{reason=\"address\"} 3")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_only_so_many_connections() {
    let cluster = Cluster::start(1, settings()).await;
    cluster.configure(json!({"connections_per_address_max": 2}), &[]).await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut client = cluster.connect_from("127.0.0.2").await;
        client.send("GET / HTTP/1.1\r\nhost: t\r\n\r\n").await;
        client.until("server1").await;
        kept.push(client);
    }
    assert!(is_turned_away(cluster.connect_from("127.0.0.2").await).await);
    assert!(!is_turned_away(cluster.connect_from("127.0.0.3").await).await);
    kept.pop();
    cluster.until(|status| status.connections == 1).await;
    assert!(!is_turned_away(cluster.connect_from("127.0.0.2").await).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_requests_together_are_limited_and_wait_with_a_deadline() {
    let cluster = Cluster::start(1, settings()).await;
    let limits = json!({"in_flight_max": 1, "queue_max": 1, "queue_timeout": "300ms"});
    cluster.configure(limits, &[]).await;
    let behaviour = &cluster.backends[0].behaviour;
    let mut first = cluster.connect().await;
    first.send("GET /hang HTTP/1.1\r\nhost: t\r\n\r\n").await;
    eventually("a request at the server", || behaviour.count() == 1).await;
    let started = std::time::Instant::now();
    let answer = cluster.get("/").await;
    assert!(
        status(&answer) == 503 && answer.contains("tenon:busy") && answer.contains("retry-after: 1"),
        "{answer}"
    );
    assert!(started.elapsed() >= Duration::from_millis(300));
    cluster.configure(json!({"in_flight_max": 2}), &[]).await;
    assert_eq!(status(&cluster.get("/").await), 200, "more room, at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_heads_and_bodies_change_while_it_runs() {
    let cluster = Cluster::start(1, settings()).await;
    let mut client = cluster.connect().await;
    let post = "POST /echo HTTP/1.1\r\nhost: t\r\ncontent-length: 5\r\n\r\nhello";
    client.send(post).await;
    assert_eq!(status(&client.until("hello").await), 200);
    cluster
        .configure(
            json!({"body_bytes_max": 4, "headers_max": 3, "idle_timeout": "300ms"}),
            &[],
        )
        .await;
    client.send("GET / HTTP/1.1\r\nhost: t\r\na: 1\r\nb: 2\r\n\r\n").await;
    assert_eq!(status(&client.until("server1").await), 200, "the connection stayed");
    assert_eq!(client.rest().await, "", "until it was idle for too long");
    assert_eq!(status(&cluster.raw(post).await), 413);
    let fields = "GET / HTTP/1.1\r\nhost: t\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n";
    assert_eq!(status(&cluster.raw(fields).await), 431);
    cluster.configure(json!({}), &[]).await;
    assert_eq!(status(&cluster.raw(post).await), 200);
}
