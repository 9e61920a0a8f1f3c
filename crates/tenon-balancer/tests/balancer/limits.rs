//! Too much, too many, too slow.

use std::time::{Duration, Instant};

use tenon_model::DurationText;
use tokio::io::AsyncWriteExt;

use crate::harness::{Cluster, settings, status};

#[tokio::test(flavor = "multi_thread")]
async fn too_large_requests_are_refused_with_what_fits() {
    let mut settings = settings();
    settings.body_bytes_max = 1000;
    let cluster = Cluster::start(1, settings).await;
    let many: String = (0..150).map(|number| format!("X-{number}: 1\r\n")).collect();
    let chunk = format!("3e8\r\n{}\r\n", "x".repeat(1000));
    for (name, expected, request) in [
        (
            "a large field",
            431,
            format!("GET / HTTP/1.1\r\nHost: t\r\nX-A: {}\r\n\r\n", "x".repeat(40_000)),
        ),
        ("many fields", 431, format!("GET / HTTP/1.1\r\nHost: t\r\n{many}\r\n")),
        (
            "a long target",
            414,
            format!("GET /{} HTTP/1.1\r\nHost: t\r\n\r\n", "x".repeat(9_000)),
        ),
        ("an endless target", 414, format!("GET /{}", "x".repeat(100_000))),
        (
            "an endless head",
            431,
            format!("GET / HTTP/1.1\r\nHost: t\r\nX-A: {}", "x".repeat(100_000)),
        ),
        (
            "a large body",
            413,
            "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1001\r\n\r\n".to_owned(),
        ),
        (
            "large chunks at once",
            413,
            format!("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n"),
        ),
        (
            "an announced large chunk",
            413,
            "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n".to_owned(),
        ),
    ] {
        let answer = cluster.raw(&request).await;
        assert_eq!(status(&answer), expected, "{name}: {answer}");
    }
    let head = format!("GET / HTTP/1.1\r\nHost: t\r\nX-A: {}\r\n\r\n", "x".repeat(20_000));
    assert_eq!(status(&cluster.raw(&head).await), 200, "a head below the limit");
    let body = format!(
        "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\n{}",
        "x".repeat(1000)
    );
    assert_eq!(status(&cluster.raw(&body).await), 200, "a body at the limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_that_grows_too_large_is_cut_while_it_streams() {
    let mut settings = settings();
    settings.body_bytes_max = 100_000;
    let cluster = Cluster::start(1, settings).await;
    let mut client = cluster.connect().await;
    client
        .send("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    let chunk = format!("2710\r\n{}\r\n", "x".repeat(10_000));
    for _ in 0..20 {
        if client.stream.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    assert_eq!(status(&client.rest().await), 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_head_is_cut_however_it_drips() {
    let mut settings = settings();
    settings.head_timeout = DurationText::from_millis(500);
    let cluster = Cluster::start(1, settings).await;
    let mut client = cluster.connect().await;
    let started = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: t\r\n").await;
    for _ in 0..100 {
        if client.stream.write_all(b"X-A: 1\r\n").await.is_err() || started.elapsed() > Duration::from_secs(3) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let answer = client.rest().await;
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(status(&answer) == 408 || answer.is_empty(), "{answer}");
    let mut silent = cluster.connect().await;
    assert_eq!(
        silent.rest().await,
        "",
        "a connection that says nothing is closed without a word"
    );
    let mut partial = cluster.connect().await;
    partial.send("GET / HT").await;
    assert_eq!(status(&partial.rest().await), 408);
    assert_eq!(cluster.seen(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed() {
    let mut settings = settings();
    settings.idle_timeout = DurationText::from_millis(300);
    let cluster = Cluster::start(1, settings).await;
    let mut client = cluster.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
    client.until("server1").await;
    let started = Instant::now();
    assert_eq!(client.rest().await, "");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_drips_is_cut_kept_or_streamed() {
    let mut settings = settings();
    settings.body_grace = DurationText::from_millis(400);
    let cluster = Cluster::start(1, settings).await;
    for length in [1_000, 1_000_000] {
        let mut client = cluster.connect().await;
        let started = Instant::now();
        client
            .send(format!(
                "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n"
            ))
            .await;
        while started.elapsed() < Duration::from_secs(10) && client.stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let mut byte = [0; 1];
            if matches!(client.stream.try_read(&mut byte), Ok(count) if count > 0) {
                client.buffer.push(byte[0]);
                break;
            }
        }
        let answer = client.rest().await;
        assert_eq!(status(&answer), 408, "{length}: {answer}");
        assert!(started.elapsed() < Duration::from_secs(10), "{length}");
    }
    assert_eq!(status(&cluster.get("/").await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_too_long_is_told_apart_from_one_that_did_nothing() {
    let mut settings = settings();
    settings.response_head_timeout = DurationText::from_millis(300);
    let cluster = Cluster::start(1, settings).await;
    let answer = cluster
        .raw("POST /hang HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi")
        .await;
    assert!(
        status(&answer) == 504 && answer.contains("x-tenon-outcome: unknown"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn near_the_limit_of_connections_clients_are_asked_to_close() {
    let mut settings = settings();
    settings.connections_max = 10;
    let cluster = Cluster::start(1, settings).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(cluster.connect().await);
    }
    cluster.until(|status| status.connections == 10).await;
    let mut late = cluster.connect().await;
    late.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
    for mut client in clients {
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
        assert!(client.until("server1").await.starts_with("HTTP/1.1 200"));
    }
    assert!(
        late.until("server1").await.starts_with("HTTP/1.1 200"),
        "it waited until there was room"
    );
}
