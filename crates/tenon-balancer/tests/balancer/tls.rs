//! HTTPS: the same as over HTTP, and what TLS adds.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Cluster, PATIENCE, settings, status};
use crate::secure::{Dial, ask, connect, connect_with};

#[tokio::test]
async fn requests_over_tls_are_answered_and_servers_are_told() {
    let cluster = Cluster::start(1, settings()).await;
    let trusted = [cluster.certificate.der()];
    let mut stream = connect(&cluster, "localhost", &trusted, &Dial::default())
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), None);
    for size in [0, 10, 100_000, 3_000_000] {
        let request = format!("GET /big/{size} HTTP/1.1\r\nhost: localhost\r\nX-Tenon-Client-Cert-Verified: 1\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert_eq!(status(&String::from_utf8_lossy(&head)), 200);
        let mut body = vec![0; size];
        stream.read_exact(&mut body).await.unwrap();
        assert!(body.iter().all(|byte| *byte == b'x'));
    }
    let seen = cluster.backends[0].behaviour.seen.lock().unwrap();
    let head = String::from_utf8_lossy(&seen[0]).to_lowercase();
    assert!(
        head.contains("x-forwarded-proto: https\r\n") && head.contains(";proto=https;"),
        "{head}"
    );
    assert!(!head.contains("x-tenon-client-cert"), "{head}");
}

#[tokio::test]
async fn a_body_goes_up_over_tls_and_the_end_is_said() {
    let cluster = Cluster::start(1, settings()).await;
    let trusted = [cluster.certificate.der()];
    let mut stream = connect(&cluster, "localhost", &trusted, &Dial::default())
        .await
        .unwrap();
    let body = vec![b'b'; 2_000_000];
    let head = format!(
        "POST /sink HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = String::new();
    // Without the closing alert this is an error.
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(status(&answer), 200);
    assert_eq!(cluster.backends[0].behaviour.sunk.load(Ordering::SeqCst), body.len());
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_seen_to_do_so() {
    let cluster = Cluster::start(1, settings()).await;
    let trusted = [cluster.certificate.der()];
    let stream = connect(&cluster, "localhost", &trusted, &Dial::default())
        .await
        .unwrap();
    let error = ask(stream, "/truncated").await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    let stream = connect(&cluster, "localhost", &trusted, &Dial::default())
        .await
        .unwrap();
    assert!(ask(stream, "/until-close").await.is_ok());
}

#[tokio::test]
async fn a_session_is_resumed_by_whichever_thread_gets_it() {
    let mut settings = settings();
    settings.threads = 2;
    let cluster = Cluster::start(1, settings).await;
    let config = Dial::default().config(&[cluster.certificate.der()]);
    let mut resumed = 0;
    for _ in 0..12 {
        let stream = connect_with(&cluster, "localhost", config.clone()).await.unwrap();
        resumed += usize::from(stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed));
        // Tickets come with the answer.
        assert!(ask(stream, "/").await.is_ok());
    }
    assert_eq!(resumed, 11);
}

#[tokio::test]
async fn a_web_socket_goes_through_tls() {
    let cluster = Cluster::start(1, settings()).await;
    let trusted = [cluster.certificate.der()];
    let mut stream = connect(&cluster, "localhost", &trusted, &Dial::default())
        .await
        .unwrap();
    let request = "GET /ws HTTP/1.1\r\nhost: t\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    while !read.ends_with(b"welcome ") {
        read.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(b"hello").await.unwrap();
    let mut echo = [0; 5];
    stream.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"hello");
}

#[tokio::test]
async fn whoever_does_not_speak_tls_in_time_is_cut_off() {
    let mut settings = settings();
    settings.tls_handshake_timeout = "200ms".parse().unwrap();
    let cluster = Cluster::start(1, settings).await;
    let mut silent = TcpStream::connect(cluster.tls_address).await.unwrap();
    let mut plain = TcpStream::connect(cluster.tls_address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: t\r\n\r\n").await.unwrap();
    for stream in [&mut silent, &mut plain] {
        let mut rest = Vec::new();
        // An alert may come first; a reset ends a connection as well.
        let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok());
    }
    assert_eq!(cluster.seen(), 0);
}

#[tokio::test]
async fn draining_lets_a_request_over_tls_finish() {
    let cluster = Cluster::start(1, settings()).await;
    let trusted = [cluster.certificate.der()];
    let mut stream = connect(&cluster, "localhost", &trusted, &Dial::default())
        .await
        .unwrap();
    stream
        .write_all(b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 200000\r\n\r\n")
        .await
        .unwrap();
    let upload = vec![b'u'; 200_000];
    stream.write_all(&upload[..100_000]).await.unwrap();
    stream.flush().await.unwrap();
    cluster.until(|status| status.servers[0].in_flight == 1).await;
    cluster.stop.cancel();
    tokio::time::sleep(Duration::from_millis(50)).await;
    stream.write_all(&upload[100_000..]).await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = Vec::new();
    // A connection between two requests is cut in the end.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 200 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    let stopping = async {
        while !cluster.running.is_finished() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, stopping)
        .await
        .expect("the end of the drain in time");
}
