//! Which fields a server and a client get.

use crate::harness::{Cluster, settings, status};

async fn head(cluster: &Cluster, fields: &str) -> String {
    let answer = cluster
        .raw(format!("GET /head HTTP/1.1\r\nHost: example.org:81\r\n{fields}\r\n"))
        .await;
    assert_eq!(status(&answer), 200, "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1.to_ascii_lowercase()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_can_not_say_who_it_is() {
    let cluster = Cluster::start(1, settings()).await;
    let seen = head(
        &cluster,
        "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nForwarded: for=6.6.6.6\r\n\
         X-Real-IP: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nX-Tenon-Cid: evil\r\nX-Tenon-User: evil\r\n\
         X-Tenon-Client-Cert-Verified: evil\r\nx-tenon-client-cert-fingerprint: evil\r\nX_Tenon_Client_Cert_Subject: evil\r\n\
         Connection: x-forwarded-for, x-mine\r\nX-Mine: 1\r\nKeep-Alive: 1\r\nTE: trailers\r\nProxy-Authorization: x\r\nX-Other: 2\r\n",
    )
    .await;
    assert!(!seen.contains("6.6.6.6") && !seen.contains("evil"), "{seen}");
    for gone in [
        "x-mine",
        "keep-alive",
        "te:",
        "proxy-authorization",
        "connection",
        "x-tenon-user",
    ] {
        assert!(!seen.contains(gone), "{gone}: {seen}");
    }
    for there in [
        "x-forwarded-for: 127.0.0.1\r\n",
        "x-forwarded-proto: http\r\n",
        "x-forwarded-host: example.org:81\r\n",
        "forwarded: for=127.0.0.1;proto=http;host=\"example.org:81\"\r\n",
        "x-other: 2\r\n",
        "1.1\r\nhost: example.org:81\r\n",
    ] {
        assert_eq!(seen.matches(there).count(), 1, "{there}: {seen}");
    }
    let (_, cid) = seen.split_once("x-tenon-cid: ").unwrap();
    assert_eq!(cid.find("\r\n"), Some(24), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_peer_is_believed_and_added() {
    let mut settings = settings();
    settings.trusted = vec!["127.0.0.0/8".into()];
    let cluster = Cluster::start(1, settings).await;
    let seen = head(
        &cluster,
        "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For: 8.8.8.8, 127.0.0.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop\r\n\
         Forwarded: for=7.7.7.7, for=9.9.9.9\r\nX-Tenon-Cid: abc\r\nX-Real-IP: 9.9.9.9\r\n",
    )
    .await;
    for there in [
        "x-forwarded-for: 8.8.8.8, 127.0.0.7, 127.0.0.1\r\n",
        "x-forwarded-proto: https\r\n",
        "x-forwarded-host: shop\r\n",
        "forwarded: for=9.9.9.9, for=127.0.0.1;",
        "x-tenon-cid: abc\r\n",
        "x-real-ip: 9.9.9.9\r\n",
    ] {
        assert_eq!(seen.matches(there).count(), 1, "{there}: {seen}");
    }
    assert_eq!(seen.matches("x-tenon-cid").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_one_connection_do_not_travel_back() {
    let cluster = Cluster::start(1, settings()).await;
    let answer = cluster.get("/hop").await;
    assert!(
        !answer.contains("x-secret") && !answer.contains("timeout=5"),
        "{answer}"
    );
    assert!(answer.contains("x-open: 2"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_load_balancer_answers_for_itself() {
    let cluster = Cluster::start_cold(1, settings(), false);
    let answer = cluster.get("/tenon/live").await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("{\"is_ok\":true}"),
        "{answer}"
    );
    assert_eq!(status(&cluster.get("/zato-lb-alive").await), 200, "as Zato's answers");
    let answer = cluster.raw("HEAD /tenon/live HTTP/1.0\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
    let answer = cluster.raw("DELETE /tenon/live HTTP/1.1\r\nhost: t\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 405") && answer.contains("allow: GET, HEAD"),
        "{answer}"
    );
}
