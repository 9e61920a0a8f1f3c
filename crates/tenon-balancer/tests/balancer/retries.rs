//! What happens to requests when servers die, freeze, restart or are not there.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tenon_balancer::Health;
use tenon_model::DurationText;

use crate::harness::{Cluster, settings, status};

fn request(method: &str, path: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_request_is_repeated_only_if_that_is_safe() {
    let cluster = Cluster::start(2, settings()).await;
    for (method, repeated) in [
        ("GET", true),
        ("PUT", true),
        ("DELETE", true),
        ("OPTIONS", true),
        ("POST", false),
        ("PATCH", false),
    ] {
        let before = cluster.seen();
        for backend in &cluster.backends {
            backend.behaviour.deaths.store(0, Ordering::SeqCst);
        }
        // Whichever server gets it first drops it; the other one answers.
        let victim = &cluster.backends[0];
        victim.behaviour.deaths.store(1, Ordering::SeqCst);
        let mut answers = Vec::new();
        for _ in 0..2 {
            answers.push(cluster.raw(request(method, "/echo", "body")).await);
        }
        let (good, bad): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| status(answer) == 200);
        assert!(good.iter().all(|answer| answer.ends_with("body")), "{method}: {good:?}");
        if repeated {
            assert_eq!((good.len(), cluster.seen() - before), (2, 3), "{method}: {answers:?}");
        } else {
            assert_eq!((bad.len(), cluster.seen() - before), (1, 2), "{method}: {answers:?}");
            assert_eq!(status(bad[0]), 502, "{method}: {bad:?}");
            assert!(
                bad[0].contains("x-tenon-outcome: unknown") && bad[0].contains("tenon:unknown-outcome"),
                "{bad:?}"
            );
        }
    }
    assert_eq!(cluster.handle.status().unknown, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_a_server_fails_nothing_that_may_be_repeated() {
    let mut cluster = Cluster::start(2, settings()).await;
    let address = cluster.address;
    let clients: Vec<_> = (0..16)
        .map(|_| {
            tokio::spawn(async move {
                let mut client = crate::harness::Client {
                    stream: tokio::net::TcpStream::connect(address).await.unwrap(),
                    buffer: vec![],
                };
                for _ in 0..200 {
                    client.send("GET /x HTTP/1.1\r\nHost: t\r\n\r\n").await;
                    let answer = client.until("server").await;
                    assert_eq!(status(&answer), 200, "{answer}");
                    client.buffer.drain(..1);
                }
            })
        })
        .collect();
    for index in [0, 1] {
        let before = cluster.seen();
        let started = Instant::now();
        while cluster.seen() < before + 200 && started.elapsed() < Duration::from_secs(10) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        cluster.backends[index].kill().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        cluster.backends[index].start();
        let name = cluster.backends[index].name.clone();
        cluster
            .until(|status| {
                status
                    .servers
                    .iter()
                    .any(|server| server.name == name && server.health == Health::Ready)
            })
            .await;
    }
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(cluster.handle.status().unknown, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_for_a_server_that_restarts() {
    let mut cluster = Cluster::start_cold(1, settings(), false);
    let address = cluster.address;
    let waiting = tokio::spawn(async move {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let mut client = crate::harness::Client { stream, buffer: vec![] };
        client.send(request("POST", "/echo", "patience")).await;
        client.until("patience").await
    });
    cluster
        .until(|status| status.connections == 1 && status.servers[0].health == Health::Dead)
        .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    cluster.backends[0].start();
    let answer = waiting.await.unwrap();
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(cluster.seen(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_server_the_answer_says_that_nothing_was_sent() {
    let mut settings = settings();
    settings.wait_timeout = DurationText::from_millis(300);
    let cluster = Cluster::start_cold(2, settings, false);
    let started = Instant::now();
    let answer = cluster.raw(request("POST", "/", "hi")).await;
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!(status(&answer), 503, "{answer}");
    for part in [
        "retry-after: 1",
        "x-tenon-outcome: not-sent",
        "application/problem+json",
        "tenon:no-server",
    ] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_requests_wait() {
    let mut settings = settings();
    settings.waiting_max = 1;
    settings.wait_timeout = DurationText::from_secs(5);
    let cluster = Cluster::start_cold(1, settings, false);
    let mut first = cluster.connect().await;
    first.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let started = Instant::now();
    assert_eq!(status(&cluster.get("/").await), 503);
    assert!(started.elapsed() < Duration::from_secs(3), "it must not wait");
    assert!(first.until("}").await.starts_with("HTTP/1.1 503"));
}

#[tokio::test(flavor = "multi_thread")]
async fn if_no_server_is_ready_those_alive_are_used() {
    let mut cluster = Cluster::start(2, settings()).await;
    cluster.backends[0].behaviour.not_ready.store(true, Ordering::SeqCst);
    cluster
        .until(|status| status.servers[0].health == Health::NotReady)
        .await;
    for _ in 0..4 {
        assert!(
            cluster.get("/").await.ends_with("server2"),
            "a ready server is preferred"
        );
    }
    cluster.backends[1].kill().await;
    for _ in 0..4 {
        assert!(cluster.get("/").await.ends_with("server1"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_leave_a_frozen_server_once_it_counts_as_dead() {
    let cluster = Cluster::start(2, settings()).await;
    cluster.backends[0].behaviour.frozen.store(true, Ordering::SeqCst);
    let mut answers = Vec::new();
    let mut posts = Vec::new();
    for _ in 0..2 {
        let mut client = cluster.connect().await;
        client.send("GET /then-close HTTP/1.1\r\nHost: t\r\n\r\n").await;
        answers.push(client);
    }
    for _ in 0..2 {
        let mut client = cluster.connect().await;
        client.send(request("POST", "/then-close", "once")).await;
        posts.push(client);
    }
    for mut client in answers {
        assert!(client.until("server2").await.starts_with("HTTP/1.1 200"));
    }
    let mut statuses = Vec::new();
    for mut client in posts {
        let answer = client.until("\r\n\r\n").await;
        statuses.push(status(&answer));
        assert!(
            status(&answer) == 200 || answer.contains("x-tenon-outcome: unknown"),
            "{answer}"
        );
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 504]);
    cluster.backends[0].behaviour.frozen.store(false, Ordering::SeqCst);
    cluster.until(|status| status.servers[0].health == Health::Ready).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upload_of_a_dead_server_goes_to_the_other_one() {
    let mut settings = settings();
    settings.health_interval = DurationText::from_secs(60);
    let mut cluster = Cluster::start(2, settings).await;
    cluster.backends[0].kill().await;
    for _ in 0..4 {
        let answer = cluster.raw(request("POST", "/echo", "hi")).await;
        assert!(status(&answer) == 200 && answer.ends_with("hi"), "{answer}");
    }
}
