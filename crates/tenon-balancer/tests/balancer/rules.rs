//! Rules, seen from outside.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Cluster, eventually, settings, status};

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: t\r\n{fields}\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_are_denied_and_nothing_of_it_reaches_a_server() {
    let cluster = Cluster::start(1, settings()).await;
    cluster
        .configure(
            json!({}),
            &[
                (
                    "env",
                    json!({"match": {"paths": ["/.env", "/.git/*"]}, "action": {"deny": {}}}),
                ),
                (
                    "gone",
                    json!({"match": {"paths": ["/old"]}, "action": {"deny": {"status": 410}}}),
                ),
            ],
        )
        .await;
    for (path, expected) in [
        ("/.env", 403),
        ("/%2eenv?a", 403),
        ("/.git/config", 403),
        ("/old", 410),
        ("/.gitx", 200),
    ] {
        let answer = cluster.get(path).await;
        assert_eq!(status(&answer), expected, "{path}: {answer}");
        if expected != 200 {
            assert!(
                answer.contains("application/problem+json") && answer.contains("x-tenon-cid: "),
                "{answer}"
            );
        }
    }
    assert_eq!(cluster.seen(), 1);
    assert_eq!(cluster.rules(), [("env".into(), 3, 3), ("gone".into(), 1, 1)]);
    let metrics = cluster.metrics();
    assert!(
        metrics.contains("tenon_balancer_rejected_total{reason=\"denied\"} 4"),
        "{metrics}"
    );
    // The connection stays good for what is allowed, even behind a body.
    let mut client = cluster.connect().await;
    client
        .send("POST /old HTTP/1.1\r\nhost: t\r\ncontent-length: 2\r\n\r\nhi")
        .await;
    assert!(client.until("}").await.starts_with("HTTP/1.1 410"));
    client.send(get("/", "")).await;
    assert!(client.until("server1").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_says_when_to_come_back_and_servers_see_no_more() {
    let cluster = Cluster::start(1, settings()).await;
    let limit = json!({"action": {"rate_limit": {"requests": 5, "per": "hour"}}});
    cluster.configure(json!({}), &[("five", limit.clone())]).await;
    let mut client = cluster.connect_from("127.0.0.2").await;
    for left in (0..5).rev() {
        client.send(get("/", "")).await;
        let answer = client.until("server1").await;
        assert!(answer.contains(&format!("ratelimit: \"five\";r={left};t=")), "{answer}");
        assert!(answer.contains("ratelimit-policy: \"five\";q=5;w=3600\r\n"), "{answer}");
    }
    for _ in 0..20 {
        client.send(get("/", "")).await;
        let answer = client.until("}").await;
        assert_eq!(status(&answer), 429, "{answer}");
        assert!(
            answer.contains("retry-after: ") && answer.contains("tenon:too-many-requests"),
            "{answer}"
        );
    }
    assert_eq!(cluster.seen(), 5);
    let mut other = cluster.connect_from("127.0.0.3").await;
    other.send(get("/", "")).await;
    assert_eq!(status(&other.until("server1").await), 200, "others have their own");
    let also = json!({"order": 9, "match": {"paths": ["/x"]}, "action": {"deny": {}}});
    cluster.configure(json!({}), &[("five", limit), ("other", also)]).await;
    client.send(get("/", "")).await;
    assert_eq!(
        status(&client.until("}").await),
        429,
        "an unchanged limit goes on counting"
    );
    cluster.configure(json!({}), &[]).await;
    client.send(get("/", "")).await;
    assert_eq!(
        status(&client.until("server1").await),
        200,
        "without it nothing is limited, at once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_at_the_same_time_and_the_others_wait_for_their_turn() {
    let cluster = Cluster::start(1, settings()).await;
    let rule = |queue: u32, timeout: &str| {
        json!({"match": {"paths": ["/sink"]},
            "action": {"concurrency": {"max": 1, "queue_max": queue, "queue_timeout": timeout}}})
    };
    cluster.configure(json!({}), &[("one", rule(1, "20s"))]).await;
    let sink = &cluster.backends[0].behaviour;
    let post = "POST /sink HTTP/1.1\r\nhost: t\r\ncontent-length: 70000\r\n\r\n";
    let body = "x".repeat(70_000);
    let mut first = cluster.connect().await;
    first.send(format!("{post}{}", &body[..65_000])).await;
    eventually("a request at the server", || sink.count() == 1).await;
    let mut second = cluster.connect().await;
    second.send(format!("{post}{body}")).await;
    cluster.until_queued(1).await;
    let answer = cluster.raw(format!("{post}{body}")).await;
    assert!(
        status(&answer) == 503 && answer.contains("retry-after: 1"),
        "the line is full: {answer}"
    );
    assert_eq!(status(&cluster.get("/").await), 200, "other paths go on");
    assert_eq!(
        sink.seen
            .lock()
            .unwrap()
            .iter()
            .filter(|seen| seen.starts_with(b"POST"))
            .count(),
        1
    );
    first.send(&body[65_000..]).await;
    assert_eq!(status(&first.until("70000").await), 200);
    // The digits of the length are in the head of no answer.
    assert_eq!(status(&second.until("\r\n\r\n70000").await), 200);

    let mut slow = cluster.connect().await;
    slow.send(format!("{post}{}", &body[..65_000])).await;
    eventually("a request at the server", || sink.count() == 4).await;
    cluster.configure(json!({}), &[("one", rule(1, "200ms"))]).await;
    let started = Instant::now();
    assert_eq!(status(&cluster.raw(format!("{post}{body}")).await), 503);
    assert!(started.elapsed() >= Duration::from_millis(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_sent_elsewhere_changed_and_limited() {
    let cluster = Cluster::start(1, settings()).await;
    cluster
        .configure(
            json!({"request_id_header": "X-Request-ID"}),
            &[
                (
                    "moved",
                    json!({"match": {"paths": ["/old/*"]},
                    "action": {"redirect": {"to": "https://new.example.org{path}{query}", "status": 301}}}),
                ),
                (
                    "marks",
                    json!({"order": 1, "match": {"headers": {"X-Team": "blue"}}, "action": {"set_header": {
                    "request": {"X-Mark": "in", "X-Team": ""}, "response": {"X-Mark": "out"}}}}),
                ),
                (
                    "small",
                    json!({"match": {"paths": ["/echo"]}, "action": {"limits": {"body_bytes_max": 4}}}),
                ),
                (
                    "quick",
                    json!({"match": {"paths": ["/hang"]}, "action": {"limits": {"request_timeout": "100ms"}}}),
                ),
            ],
        )
        .await;
    let answer = cluster.get("/old/a?b=c").await;
    assert!(
        status(&answer) == 301 && answer.contains("location: https://new.example.org/old/a?b=c\r\n"),
        "{answer}"
    );
    let answer = cluster.raw(get("/head", "X-Team: blue\r\nX-Mark: mine\r\n")).await;
    let (head, seen) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("x-mark: out"), "{head}");
    assert!(
        seen.contains("x-mark: in") && !seen.contains("mine") && !seen.contains("blue"),
        "{seen}"
    );
    let id = head
        .split("x-request-id: ")
        .nth(1)
        .unwrap()
        .split("\r\n")
        .next()
        .unwrap();
    assert!(
        seen.contains(&format!("x-request-id: {id}\r\n")) && seen.contains(&format!("x-tenon-cid: {id}\r\n")),
        "{seen}"
    );
    for (framing, body, expected) in [
        ("content-length: 4", "abcd", 200),
        ("content-length: 5", "abcde", 413),
        ("transfer-encoding: chunked", "4\r\nabcd\r\n0\r\n\r\n", 200),
        ("transfer-encoding: chunked", "5\r\nabcde\r\n0\r\n\r\n", 413),
    ] {
        let answer = cluster
            .raw(format!("POST /echo HTTP/1.1\r\nhost: t\r\n{framing}\r\n\r\n{body}"))
            .await;
        assert_eq!(status(&answer), expected, "{framing}, {body}: {answer}");
    }
    assert_eq!(status(&cluster.get("/hang").await), 504);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_trusted_proxy_each_client_has_its_own_limit_and_a_denial_takes_its_time() {
    let mut settings = settings();
    settings.trusted = vec!["127.0.0.1".into()];
    let cluster = Cluster::start(1, settings).await;
    cluster
        .configure(
            json!({}),
            &[
                (
                    "bad",
                    json!({"match": {"addresses": ["198.51.100.0/24"]}, "action": {"deny": {"delay": "300ms"}}}),
                ),
                (
                    "one",
                    json!({"order": 1, "action": {"rate_limit": {"requests": 1, "per": "hour"}}}),
                ),
            ],
        )
        .await;
    let ask = async |client: &str| {
        status(
            &cluster
                .raw(get("/", &format!("X-Forwarded-For: 6.6.6.6, {client}\r\n")))
                .await,
        )
    };
    assert_eq!(ask("192.0.2.1").await, 200);
    assert_eq!(ask("192.0.2.2").await, 200);
    assert_eq!(ask("192.0.2.1").await, 429);
    let started = Instant::now();
    assert_eq!(ask("198.51.100.7").await, 403);
    assert!(started.elapsed() >= Duration::from_millis(300));
    let seen = cluster.backends[0].behaviour.connections.load(Ordering::SeqCst);
    assert!(seen > 0);
}
