//! Connections that begin with a PROXY header.

use serde_json::json;

use crate::harness::{Client, Cluster, settings, status};

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x08\x0a\0\0\x01\x30\x39\0\x50";

async fn cluster(mode: &str) -> Cluster {
    let mut settings = settings();
    settings.trusted = vec!["127.0.0.1".into()];
    settings.proxy_header_timeout = tenon_model::DurationText::from_secs(1);
    let cluster = Cluster::start(1, settings).await;
    cluster.configure(json!({"proxy_protocol": mode}), &[]).await;
    cluster
}

/// What a server saw of a request that came behind these bytes.
async fn seen(mut client: Client, header: &[u8]) -> String {
    client.send(header).await;
    client
        .send("GET /head HTTP/1.1\r\nhost: t\r\nconnection: close\r\nx-forwarded-for: 6.6.6.6\r\n\r\n")
        .await;
    client.rest().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_header_of_a_trusted_proxy_says_who_the_client_is() {
    let cluster = cluster("optional-from-trusted").await;
    for (header, client) in [
        (&b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n"[..], "192.0.2.7"),
        (V2, "192.0.2.8"),
    ] {
        let answer = seen(cluster.connect().await, header).await;
        assert!(answer.contains(&format!("x-forwarded-for: {client}\r\n")), "{answer}");
        assert!(answer.contains(&format!("forwarded: for={client};")), "{answer}");
    }
    let answer = seen(cluster.connect().await, b"").await;
    assert!(
        answer.contains("x-forwarded-for: 6.6.6.6, 127.0.0.1\r\n"),
        "without one the proxy speaks for itself: {answer}"
    );
    let answer = seen(cluster.connect_from("127.0.0.2").await, V2).await;
    assert_eq!(status(&answer), 400, "from a stranger it is no header: {answer}");
    let mut slow = cluster.connect().await;
    for part in V2.chunks(5) {
        slow.send(part).await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(seen(slow, b"").await.contains("x-forwarded-for: 192.0.2.8\r\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_required_nothing_else_is_served() {
    let cluster = cluster("required-from-trusted").await;
    assert!(
        seen(cluster.connect().await, V2)
            .await
            .contains("x-forwarded-for: 192.0.2.8\r\n")
    );
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    assert!(
        seen(cluster.connect().await, local).await.contains("127.0.0.1\r\n"),
        "the proxy's own"
    );
    for header in [&b"PROXY TCP4 192.0.2.7 127.0.0.1 1\r\n"[..], &V2[..20]] {
        let mut client = cluster.connect().await;
        client.send(header).await;
        assert_eq!(client.rest().await, "", "{}", header.escape_ascii());
    }
    let mut client = cluster.connect().await;
    client.send("GET / HTTP/1.1\r\nhost: t\r\n\r\n").await;
    assert_eq!(client.rest().await, "");
    let mut stranger = cluster.connect_from("127.0.0.2").await;
    assert_eq!(stranger.rest().await, "");
    let metrics = cluster.metrics();
    assert!(
        metrics.contains("tenon_balancer_rejected_total{reason=\"proxy-header\"} 4"),
        "{metrics}"
    );
    assert_eq!(cluster.seen(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_and_networks_are_for_the_client_that_the_header_names() {
    let cluster = cluster("optional-from-trusted").await;
    let rule = json!({"match": {"addresses": ["192.0.2.8"]}, "action": {"deny": {"status": 410}}});
    let config =
        json!({"proxy_protocol": "optional-from-trusted", "deny": ["192.0.2.7"], "connections_per_address_max": 1});
    cluster.configure(config, &[("eight", rule)]).await;
    assert_eq!(status(&seen(cluster.connect().await, V2).await), 410);
    let denied = seen_or_closed(cluster.connect().await, b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n").await;
    assert_eq!(denied, "");
    let nine = b"PROXY TCP4 192.0.2.9 127.0.0.1 1 2\r\n";
    let mut kept = cluster.connect().await;
    kept.send(nine).await;
    kept.send("GET / HTTP/1.1\r\nhost: t\r\n\r\n").await;
    kept.until("server1").await;
    assert_eq!(
        seen_or_closed(cluster.connect().await, nine).await,
        "",
        "it has one already"
    );
}

async fn seen_or_closed(mut client: Client, header: &[u8]) -> String {
    client.send(header).await;
    // The connection may be gone by now.
    let _ = tokio::io::AsyncWriteExt::write_all(
        &mut client.stream,
        b"GET / HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n",
    )
    .await;
    client.rest().await
}
