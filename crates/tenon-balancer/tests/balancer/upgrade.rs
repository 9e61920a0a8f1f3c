//! Connections that become something else.

use tenon_model::DurationText;
use tokio::io::AsyncWriteExt;

use crate::harness::{Cluster, settings, status};

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: t\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_web_socket_is_passed_through_both_ways() {
    let cluster = Cluster::start(1, settings()).await;
    let mut client = cluster.connect().await;
    // Bytes that come with the request must not reach the server before it has agreed.
    client.send(format!("{UPGRADE}early ")).await;
    let head = client.until("\r\n\r\n").await.to_ascii_lowercase();
    assert!(
        head.starts_with("http/1.1 101") && head.contains("upgrade: websocket"),
        "{head}"
    );
    assert_eq!(client.until("early ").await, "welcome early ");
    client.send("later").await;
    assert_eq!(client.until("later").await, "later");
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, "");
    cluster.until(|status| status.connections == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_agree_gets_the_next_request() {
    let cluster = Cluster::start(1, settings()).await;
    let refused = UPGRADE.replace("/ws", "/no");
    let answer = cluster.raw(format!("{refused}GET / HTTP/1.1\r\nHost: t\r\n\r\n")).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_can_not_upgrade_what_was_not_asked_for() {
    let cluster = Cluster::start(1, settings()).await;
    assert_eq!(status(&cluster.get("/ws").await), 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_tunnel_is_closed() {
    let mut settings = settings();
    settings.tunnel_idle_timeout = DurationText::from_millis(300);
    let cluster = Cluster::start(1, settings).await;
    let mut client = cluster.connect().await;
    client.send(UPGRADE).await;
    client.until("welcome ").await;
    assert_eq!(client.rest().await, "");
}
