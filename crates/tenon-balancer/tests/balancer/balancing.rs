//! Which server gets a request.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use serde_json::json;

use crate::harness::{Cluster, PATIENCE, eventually, settings, status};

/// How many of so many requests each server answered.
async fn spread(cluster: &Cluster, count: usize) -> HashMap<String, usize> {
    let mut spread = HashMap::new();
    let mut client = cluster.connect().await;
    for _ in 0..count {
        client.send("GET / HTTP/1.1\r\nhost: t\r\n\r\n").await;
        let answer = client.until("\r\n\r\nserver").await;
        assert_eq!(status(&answer), 200, "{answer}");
        let number = client.until_bytes(1).await;
        *spread.entry(format!("server{number}")).or_default() += 1;
    }
    spread
}

fn expect(pairs: &[(&str, usize)]) -> HashMap<String, usize> {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_and_states_are_the_operators_and_hold_at_once() {
    let cluster = Cluster::start(3, settings()).await;
    assert_eq!(
        spread(&cluster, 6).await,
        expect(&[("server1", 2), ("server2", 2), ("server3", 2)])
    );
    let servers = json!({"servers": [{"name": "server1", "weight": 4}, {"name": "server2", "state": "drain"}]});
    cluster.configure(servers, &[]).await;
    assert_eq!(spread(&cluster, 10).await, expect(&[("server1", 8), ("server3", 2)]));
    let servers =
        json!({"servers": [{"name": "server1", "state": "maintenance"}, {"name": "server3", "state": "drain"}]});
    cluster.configure(servers, &[]).await;
    assert_eq!(spread(&cluster, 3).await, expect(&[("server2", 3)]));
    cluster.configure(json!({}), &[]).await;
    assert_eq!(
        spread(&cluster, 6).await,
        expect(&[("server1", 2), ("server2", 2), ("server3", 2)])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_finishes_what_is_under_way_and_maintenance_ends_tunnels() {
    let cluster = Cluster::start(2, settings()).await;
    let only_one = json!({"servers": [{"name": "server2", "state": "drain"}]});
    cluster.configure(only_one, &[]).await;
    let mut tunnel = cluster.connect().await;
    tunnel
        .send("GET /ws HTTP/1.1\r\nhost: t\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        .await;
    tunnel.until("welcome ").await;
    let mut upload = cluster.connect().await;
    upload
        .send("POST /sink HTTP/1.1\r\nhost: t\r\ncontent-length: 70000\r\n\r\n")
        .await;
    upload.send("x".repeat(66_000)).await;
    let first = &cluster.backends[0].behaviour;
    eventually("the upload at the server", || first.sunk.load(Ordering::SeqCst) > 0).await;
    cluster
        .configure(json!({"servers": [{"name": "server1", "state": "drain"}]}), &[])
        .await;
    assert_eq!(spread(&cluster, 3).await, expect(&[("server2", 3)]));
    tunnel.send("still here").await;
    tunnel.until("still here").await;
    upload.send("x".repeat(4_000)).await;
    assert_eq!(
        status(&upload.until("\r\n\r\n70000").await),
        200,
        "what it had it finished"
    );
    cluster
        .configure(json!({"servers": [{"name": "server1", "state": "maintenance"}]}), &[])
        .await;
    assert_eq!(tunnel.rest().await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_busy_server_is_next_and_full_ones_make_requests_wait() {
    let cluster = Cluster::start(2, settings()).await;
    let config =
        json!({"algorithm": "least-in-flight", "in_flight_per_server_max": 2, "queue_max": 1, "queue_timeout": "20s"});
    cluster.configure(config, &[]).await;
    let upload = "POST /sink HTTP/1.1\r\nhost: t\r\ncontent-length: 70000\r\n\r\n";
    let mut busy = Vec::new();
    for count in 1..=4_usize {
        let mut client = cluster.connect().await;
        client.send(upload).await;
        client.send("x".repeat(66_000)).await;
        cluster
            .until(|status| {
                let loads: Vec<usize> = status.servers.iter().map(|server| server.in_flight).collect();
                loads.iter().sum::<usize>() == count && loads[0].abs_diff(loads[1]) <= 1
            })
            .await;
        busy.push(client);
    }
    let mut waiting = cluster.connect().await;
    waiting.send("GET / HTTP/1.1\r\nhost: t\r\n\r\n").await;
    cluster.until_queued(1).await;
    let answer = cluster.get("/").await;
    assert!(
        status(&answer) == 503 && answer.contains("tenon:busy"),
        "the line is full: {answer}"
    );
    busy[0].send("x".repeat(4_000)).await;
    assert_eq!(status(&busy[0].until("\r\n\r\n70000").await), 200);
    assert_eq!(status(&waiting.until("\r\n\r\nserver").await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fails_requests_but_not_checks_is_left_out_for_a_while() {
    let cluster = Cluster::start(2, settings()).await;
    let config = json!({"ejection": {"failures": 3, "window": "20s", "time": "1s", "max_percent": 50}});
    cluster.configure(config, &[]).await;
    let bad = &cluster.backends[0].behaviour;
    bad.deaths.store(usize::MAX / 2, Ordering::SeqCst);
    for _ in 0..12 {
        assert_eq!(status(&cluster.get("/").await), 200, "each is tried again elsewhere");
    }
    cluster.until(|status| status.servers[0].ejected_for.is_some()).await;
    let before = bad.count();
    assert_eq!(spread(&cluster, 10).await, expect(&[("server2", 10)]));
    assert_eq!(bad.count(), before);
    assert!(cluster.metrics().contains("tenon_balancer_ejections_total 1"));
    bad.deaths.store(0, Ordering::SeqCst);
    cluster.until(|status| status.servers[0].ejected_for.is_none()).await;
    cluster.configure(json!({}), &[]).await;
    let back = async { while !spread(&cluster, 20).await.contains_key("server1") {} };
    assert!(
        tokio::time::timeout(PATIENCE, back).await.is_ok(),
        "it gets requests again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_passed_on_or_begun() {
    let mut settings = settings();
    settings.trace_create = true;
    let cluster = Cluster::start(1, settings).await;
    let ask = async |fields: &str| {
        let answer = cluster
            .raw(format!("GET /head HTTP/1.1\r\nhost: t\r\n{fields}\r\n"))
            .await;
        answer.split_once("\r\n\r\n").unwrap().1.to_ascii_lowercase()
    };
    let trace = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    let seen = ask(&format!("{trace}tracestate: a=b\r\n")).await;
    assert!(seen.contains(trace) && seen.contains("tracestate: a=b"), "{seen}");
    for fields in [
        "",
        "traceparent: nonsense\r\ntracestate: a=b\r\n",
        &format!("{trace}{trace}"),
    ] {
        let seen = ask(fields).await;
        let new = seen.split("traceparent: 00-").nth(1).unwrap();
        assert!(
            new.len() > 55 && !seen.contains("a=b") && !seen.contains("4bf92f"),
            "{fields}: {seen}"
        );
        assert_eq!(seen.matches("traceparent").count(), 1, "{seen}");
    }
}
