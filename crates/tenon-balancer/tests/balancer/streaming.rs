//! Bodies of any size and framing, both ways.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Cluster, PATIENCE, settings, status};

#[tokio::test(flavor = "multi_thread")]
async fn a_large_answer_streams_and_a_slow_reader_holds_the_server_back() {
    const SIZE: usize = 64 * 1024 * 1024;
    let cluster = Cluster::start(1, settings()).await;
    let mut client = cluster.connect().await;
    client
        .send(format!("GET /big/{SIZE} HTTP/1.1\r\nHost: t\r\n\r\n"))
        .await;
    client.until("\r\n\r\n").await;
    let mut total = client.buffer.len();
    let mut chunk = vec![0; 256 * 1024];
    while total < SIZE {
        let count = tokio::time::timeout(PATIENCE, client.stream.read(&mut chunk))
            .await
            .unwrap()
            .unwrap();
        assert!(count > 0, "it ended after {total}");
        total += count;
    }
    assert_eq!(total, SIZE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_streams_to_the_server_before_it_is_whole() {
    const SIZE: usize = 32 * 1024 * 1024;
    let cluster = Cluster::start(1, settings()).await;
    let mut client = cluster.connect().await;
    client
        .send(format!(
            "POST /sink HTTP/1.1\r\nHost: t\r\nContent-Length: {SIZE}\r\n\r\n"
        ))
        .await;
    let half = vec![b'x'; SIZE / 2];
    client.send(&half).await;
    let arriving = async {
        while cluster.backends[0].behaviour.sunk.load(Ordering::SeqCst) < SIZE / 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, arriving)
        .await
        .expect("the first half arrives alone");
    client.send(&half).await;
    client.until(&format!("\r\n\r\n{SIZE}")).await;
    client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
    client.until("server1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_and_trailers_pass_as_they_are() {
    let cluster = Cluster::start(1, settings()).await;
    let answer = cluster.get("/chunked").await;
    assert!(
        answer.ends_with("\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nx-sum: 7\r\n\r\n"),
        "{answer}"
    );
    let answer = cluster
        .raw("GET /chunked HTTP/1.0\r\nHost: t\r\nConnection: keep-alive\r\n\r\n")
        .await;
    assert!(
        answer.ends_with("\r\n\r\nhello world"),
        "an old client gets no chunks: {answer}"
    );
    assert!(
        answer.contains("connection: close") && !answer.contains("chunked"),
        "{answer}"
    );
    let request = "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-T: 1\r\n\r\n";
    let answer = cluster.raw(request).await;
    assert!(answer.ends_with("2\r\nab\r\n0\r\nX-T: 1\r\n\r\n"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_a_body_keep_the_connection_in_step() {
    let cluster = Cluster::start(1, settings()).await;
    let answer = cluster
        .raw(
            "HEAD /length-only HTTP/1.1\r\nHost: t\r\n\r\nGET /204 HTTP/1.1\r\nHost: t\r\n\r\n\
             GET /304 HTTP/1.1\r\nHost: t\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n",
        )
        .await;
    let statuses: Vec<&str> = answer.split("HTTP/1.1 ").skip(1).map(|part| &part[..3]).collect();
    assert_eq!(statuses, ["200", "204", "304", "200"], "{answer}");
    assert!(answer.ends_with("server1"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_100_gets_it_from_the_server() {
    let cluster = Cluster::start(1, settings()).await;
    let mut client = cluster.connect().await;
    client
        .send("POST /continue HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        .await;
    assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello").await;
    let answer = client.until("hello").await;
    assert_eq!(status(&answer), 200, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_answer_arrives_while_the_upload_is_under_way() {
    let cluster = Cluster::start(1, settings()).await;
    let mut client = cluster.connect().await;
    client
        .send("POST /early HTTP/1.1\r\nHost: t\r\nContent-Length: 50000000\r\n\r\n")
        .await;
    let (mut reader, mut writer) = client.stream.into_split();
    let upload = tokio::spawn(async move {
        let chunk = vec![b'x'; 64 * 1024];
        while writer.write_all(&chunk).await.is_ok() {}
    });
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, reader.read_to_end(&mut answer))
        .await
        .unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(
        status(&answer) == 413 && answer.ends_with("no!") && answer.contains("connection: close"),
        "{answer}"
    );
    tokio::time::timeout(PATIENCE, upload).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_speaks_nonsense_gives_502_and_a_broken_answer_ends_the_connection() {
    let cluster = Cluster::start(1, settings()).await;
    for path in ["/nonsense", "/two-lengths"] {
        let answer = cluster.get(path).await;
        assert!(
            status(&answer) == 502 && answer.contains("tenon:bad-answer"),
            "{path}: {answer}"
        );
    }
    let answer = cluster
        .raw("GET /truncated HTTP/1.1\r\nHost: t\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n")
        .await;
    assert!(
        answer.ends_with("half") && answer.contains("content-length: 20"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_in_the_middle_costs_the_server_its_connection_only() {
    let cluster = Cluster::start(1, settings()).await;
    let mut client = cluster.connect().await;
    client
        .send("POST /sink HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\nhalf")
        .await;
    drop(client);
    cluster
        .until(|status| status.connections == 0 && status.servers[0].in_flight == 0)
        .await;
    assert!(cluster.get("/").await.ends_with("server1"));
}
