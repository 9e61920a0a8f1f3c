//! HTTP/2 from clients: streams go to servers like requests of HTTP/1.1, many at a time.

use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use tenon_model::DurationText;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Cluster, PATIENCE, settings};
use crate::secure::{Dial, connect};

/// A client of HTTP/2 over TLS.
async fn client(cluster: &Cluster) -> SendRequest<Bytes> {
    let dial = Dial::protocols(&["h2", "http/1.1"]);
    let stream = connect(cluster, "localhost", &[cluster.certificate.der()], &dial)
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (client, connection) = h2::client::Builder::new()
        .initial_connection_window_size(64 * 1024 * 1024)
        .handshake::<_, Bytes>(stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    client.ready().await.unwrap()
}

fn request(method: Method, path: &str) -> Request<()> {
    let uri = format!("https://shop.test{path}");
    Request::builder().method(method).uri(uri).body(()).unwrap()
}

async fn whole(response: ResponseFuture) -> Result<(Response<()>, Vec<u8>, Option<HeaderMap>), h2::Error> {
    let reading = async {
        let (parts, mut body) = response.await?.into_parts();
        let bytes = read(&mut body).await?;
        let trailers = body.trailers().await?;
        Ok((Response::from_parts(parts, ()), bytes, trailers))
    };
    tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("an answer in time")
}

async fn read(body: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

async fn get(client: &mut SendRequest<Bytes>, path: &str) -> (StatusCode, Vec<u8>) {
    let (response, _) = client.send_request(request(Method::GET, path), true).unwrap();
    let (head, body, _) = whole(response).await.unwrap();
    (head.status(), body)
}

async fn send_all(send: &mut SendStream<Bytes>, mut data: Bytes) {
    while !data.is_empty() {
        send.reserve_capacity(data.len());
        let room = std::future::poll_fn(|cx| send.poll_capacity(cx))
            .await
            .unwrap()
            .unwrap();
        let part = data.split_to(room.min(data.len()));
        send.send_data(part, data.is_empty()).unwrap();
    }
}

#[tokio::test]
async fn many_streams_go_over_one_connection() {
    let cluster = Cluster::start(2, settings()).await;
    let mut client = client(&cluster).await;
    let mut responses = Vec::new();
    for number in 0..100 {
        client = client.ready().await.unwrap();
        let path = format!("/big/{}", number * 3000);
        responses.push(client.send_request(request(Method::GET, &path), true).unwrap().0);
    }
    for (number, response) in responses.into_iter().enumerate() {
        let (head, body, _) = whole(response).await.unwrap();
        assert_eq!((head.status(), body.len()), (StatusCode::OK, number * 3000));
    }
    assert_eq!(cluster.seen(), 100);
    let status = cluster.handle.status();
    assert_eq!((status.connections, status.requests), (1, 100));
}

#[tokio::test]
async fn heads_become_those_of_http_1() {
    let cluster = Cluster::start(1, settings()).await;
    let mut client = client(&cluster).await;
    let mut asked = request(Method::GET, "/a?b=c");
    for (name, value) in [
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("x-forwarded-for", "9.9.9.9"),
        ("x-own", "kept"),
    ] {
        asked.headers_mut().append(name, value.parse().unwrap());
    }
    let (response, _) = client.send_request(asked, true).unwrap();
    let (head, ..) = whole(response).await.unwrap();
    assert_eq!(head.status(), 200);
    assert!(!head.headers().contains_key("connection"));
    let seen = cluster.backends[0].behaviour.seen.lock().unwrap();
    let head = String::from_utf8_lossy(&seen[0]).to_lowercase();
    for there in [
        "get /a?b=c http/1.1\r\n",
        "host: shop.test\r\n",
        "cookie: a=1; b=2\r\n",
        "x-own: kept\r\n",
        "x-forwarded-for: 127.0.0.1\r\n",
        "x-forwarded-proto: https\r\n",
    ] {
        assert!(head.contains(there), "{there} is not in {head}");
    }
    assert!(
        !head.contains("9.9.9.9") && !head.contains("transfer-encoding"),
        "{head}"
    );
}

#[tokio::test]
async fn bodies_go_both_ways_with_and_without_a_length() {
    let cluster = Cluster::start(1, settings()).await;
    let mut client = client(&cluster).await;
    for (size, announced) in [(0, true), (10, true), (10, false), (700_000, true), (700_000, false)] {
        let mut asked = request(Method::POST, "/echo");
        if announced {
            asked.headers_mut().insert("content-length", size.into());
        }
        let (response, mut send) = client.send_request(asked, size == 0).unwrap();
        let body = Bytes::from(vec![b'z'; size]);
        let reading = tokio::spawn(whole(response));
        send_all(&mut send, body.clone()).await;
        let (head, echoed, _) = reading.await.unwrap().unwrap();
        // The server echoes what it saw, with the framing if there was any.
        let payload = String::from_utf8_lossy(&echoed).matches('z').count();
        assert_eq!((head.status(), payload), (StatusCode::OK, size), "{size} {announced}");
    }
}

#[tokio::test]
async fn chunks_and_trailers_become_data_and_trailers() {
    let cluster = Cluster::start(1, settings()).await;
    let mut client = client(&cluster).await;
    let (response, _) = client.send_request(request(Method::GET, "/chunked"), true).unwrap();
    let (head, body, trailers) = whole(response).await.unwrap();
    assert_eq!((head.status(), body.as_slice()), (StatusCode::OK, &b"hello world"[..]));
    assert!(!head.headers().contains_key("transfer-encoding"));
    assert_eq!(trailers.unwrap()["x-sum"], "7");
    let (response, mut send) = client.send_request(request(Method::POST, "/echo"), false).unwrap();
    send_all_but_end(&mut send, b"with").await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-check", "1".parse().unwrap());
    send.send_trailers(trailers).unwrap();
    assert!(whole(response).await.unwrap().1.starts_with(b"4\r\nwith\r\n0\r\n"));
    let seen = cluster.backends[0].behaviour.seen.lock().unwrap();
    assert!(String::from_utf8_lossy(&seen[1]).ends_with("0\r\nx-check: 1\r\n\r\n"));
}

async fn send_all_but_end(send: &mut SendStream<Bytes>, data: &'static [u8]) {
    send.reserve_capacity(data.len());
    std::future::poll_fn(|cx| send.poll_capacity(cx))
        .await
        .unwrap()
        .unwrap();
    send.send_data(Bytes::from_static(data), false).unwrap();
}

#[tokio::test]
async fn heads_that_two_readers_could_read_differently_are_refused() {
    let cluster = Cluster::start(1, settings()).await;
    let mut client = client(&cluster).await;
    for (name, value) in [
        ("host", "other.test"),
        ("content_length", "3"),
        ("x_forwarded_for", "1"),
    ] {
        let mut asked = request(Method::GET, "/");
        asked.headers_mut().insert(name, value.parse().unwrap());
        let (response, _) = client.send_request(asked, true).unwrap();
        let status = whole(response).await.unwrap().0.status();
        // Lookalikes are not passed on; a second host is no request at all.
        assert_eq!(status.as_u16(), if name == "host" { 400 } else { 200 }, "{name}");
    }
    let connect = Request::builder()
        .method(Method::CONNECT)
        .uri("shop.test:80")
        .body(())
        .unwrap();
    let (response, _) = client.send_request(connect, false).unwrap();
    assert_eq!(whole(response).await.unwrap().0.status(), 400);
    let seen = cluster.backends[0].behaviour.seen.lock().unwrap();
    assert!(seen.iter().all(|head| !head.contains(&b'_')));
}

#[tokio::test]
async fn an_answer_that_comes_early_ends_the_upload() {
    let cluster = Cluster::start(1, settings()).await;
    let mut client = client(&cluster).await;
    let (response, mut send) = client.send_request(request(Method::POST, "/early"), false).unwrap();
    send_all_but_end(&mut send, b"begin").await;
    assert_eq!(whole(response).await.unwrap().0.status(), 413);
    let reset = tokio::time::timeout(PATIENCE, std::future::poll_fn(|cx| send.poll_reset(cx)))
        .await
        .unwrap();
    assert_eq!(reset.unwrap(), Reason::NO_ERROR);
    assert_eq!(get(&mut client, "/").await.0, 200);
}

#[tokio::test]
async fn a_stream_that_the_client_resets_leaves_its_server() {
    let cluster = Cluster::start(1, settings()).await;
    let mut client = client(&cluster).await;
    let (response, mut send) = client.send_request(request(Method::GET, "/hang"), true).unwrap();
    cluster.until(|status| status.servers[0].in_flight == 1).await;
    send.send_reset(Reason::CANCEL);
    drop(response);
    cluster.until(|status| status.servers[0].in_flight == 0).await;
    assert_eq!(get(&mut client, "/").await.0, 200);
}

#[tokio::test]
async fn a_client_that_resets_without_measure_is_told_to_calm_down() {
    let mut settings = settings();
    settings.http2_resets_max = 20;
    let cluster = Cluster::start(1, settings).await;
    let mut client = client(&cluster).await;
    let abusing = async {
        loop {
            let ready = client.clone().ready().await;
            let sent = ready.and_then(|mut ready| ready.send_request(request(Method::GET, "/hang"), true));
            match sent {
                Ok((response, mut send)) => {
                    send.send_reset(Reason::CANCEL);
                    drop(response);
                }
                Err(error) => return error,
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let error = tokio::time::timeout(PATIENCE, abusing).await.expect("an end in time");
    assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM), "{error:?}");
    cluster.until(|status| status.connections == 0).await;
    client = self::client(&cluster).await;
    assert_eq!(get(&mut client, "/").await.0, 200);
}

#[tokio::test]
async fn a_slow_reader_holds_up_nobody_else_and_no_memory() {
    let cluster = Cluster::start(1, settings()).await;
    let mut client = client(&cluster).await;
    let (slow, _) = client
        .send_request(request(Method::GET, "/big/30000000"), true)
        .unwrap();
    let slow = slow.await.unwrap();
    for _ in 0..20 {
        assert_eq!(get(&mut client, "/big/100").await.1.len(), 100);
    }
    assert_eq!(cluster.handle.status().servers[0].in_flight, 1);
    let mut body = slow.into_body();
    assert_eq!(read(&mut body).await.unwrap().len(), 30_000_000);
}

#[tokio::test]
async fn what_breaks_off_is_reset_and_the_connection_goes_on() {
    let cluster = Cluster::start(1, settings()).await;
    let mut client = client(&cluster).await;
    let (response, _) = client.send_request(request(Method::GET, "/truncated"), true).unwrap();
    let error = whole(response).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
    assert_eq!(get(&mut client, "/until-close").await.0, 200);
}

#[tokio::test]
async fn streams_on_a_server_that_dies_are_answered_by_another() {
    let mut cluster = Cluster::start(2, settings()).await;
    let mut client = client(&cluster).await;
    for _ in 0..10 {
        assert_eq!(get(&mut client, "/").await.0, 200);
    }
    let mut running = Vec::new();
    for number in 0..200 {
        client = client.ready().await.unwrap();
        running.push(client.send_request(request(Method::GET, "/"), true).unwrap().0);
        if number == 60 {
            cluster.backends[0].kill().await;
        }
        if number % 20 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for response in running {
        assert_eq!(whole(response).await.unwrap().0.status(), 200);
    }
}

#[tokio::test]
async fn draining_says_goodbye_and_lets_streams_finish() {
    let cluster = Cluster::start(1, settings()).await;
    let dial = Dial::protocols(&["h2"]);
    let stream = connect(&cluster, "localhost", &[cluster.certificate.der()], &dial)
        .await
        .unwrap();
    let (mut client, connection) = h2::client::handshake::<_>(stream).await.unwrap();
    let ended = tokio::spawn(connection);
    let (response, mut send) = client.send_request(request(Method::POST, "/echo"), false).unwrap();
    send_all_but_end(&mut send, b"first ").await;
    cluster.until(|status| status.servers[0].in_flight == 1).await;
    cluster.stop.cancel();
    // From the goodbye on, the client may open no streams.
    let refused = async {
        while client.clone().ready().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused)
        .await
        .expect("a goodbye in time");
    send_all(&mut send, Bytes::from_static(b"second")).await;
    let echoed = whole(response).await.unwrap().1;
    assert!(echoed.windows(6).any(|window| window == b"second"), "{echoed:?}");
    drop((client, send));
    tokio::time::timeout(PATIENCE, ended)
        .await
        .expect("an end in time")
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn who_comes_during_a_drain_is_served_before_the_goodbye() {
    let mut settings = settings();
    settings.drain_idle_timeout = DurationText::from_secs(20);
    let cluster = Cluster::start(1, settings).await;
    // As long as this one is kept, the drain waits.
    let mut kept = cluster.connect().await;
    kept.send(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n").await;
    kept.until("server1").await;
    let early = client(&cluster).await;
    cluster.stop.cancel();
    let goodbye = async |client: &SendRequest<Bytes>| {
        let told = async {
            while client.clone().ready().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, told).await.expect("a goodbye in time");
    };
    goodbye(&early).await;
    let mut late = client(&cluster).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(get(&mut late, "/").await.0, 200);
    goodbye(&late).await;
    drop(kept);
}

/// Reads one frame: its type, flags and payload; nothing at the end of the connection.
async fn frame(stream: &mut (impl AsyncRead + Unpin)) -> Option<(u8, u8, Vec<u8>)> {
    let mut head = [0; 9];
    match stream.read_exact(&mut head).await {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return None,
        read => read.expect("frames until the end"),
    };
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    stream.read_exact(&mut payload).await.expect("a whole frame");
    Some((head[3], head[4], payload))
}

#[tokio::test]
async fn who_is_still_sending_hears_the_goodbye() {
    const PING: u8 = 6;
    const GOAWAY: u8 = 7;
    let cluster = Cluster::start(1, settings()).await;
    let dial = Dial::protocols(&["h2"]);
    let mut stream = connect(&cluster, "localhost", &[cluster.certificate.der()], &dial)
        .await
        .unwrap();
    let hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    stream.write_all(hello).await.unwrap();
    assert_eq!(frame(&mut stream).await.unwrap().0, 4, "settings come first");
    cluster.stop.cancel();
    let asked = loop {
        let (kind, flags, payload) = frame(&mut stream).await.expect("a goodbye that waits for us");
        if (kind, flags) == (PING, 0) {
            break payload;
        }
    };
    let (mut reading, mut writing) = tokio::io::split(stream);
    // With the answer, much more that nobody will read: frames of a type that there is not.
    let mut all = [&[0, 0, 8, PING, 1, 0, 0, 0, 0], &asked[..]].concat();
    for _ in 0..50 {
        all.extend([0, 0x40, 0, 0xfa, 0, 0, 0, 0, 0]);
        all.extend([0; 0x4000]);
    }
    let sent = tokio::spawn(async move { writing.write_all(&all).await });
    let heard = async {
        let mut last = None;
        while let Some((kind, _, payload)) = frame(&mut reading).await {
            last = (kind == GOAWAY).then_some(payload).or(last);
        }
        last
    };
    let goodbye = tokio::time::timeout(PATIENCE, heard).await.expect("an end in time");
    assert_eq!(goodbye.expect("a goodbye")[..8], [0; 8], "no stream, no error");
    sent.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_web_socket_is_a_stream_of_its_own() {
    let cluster = Cluster::start(1, settings()).await;
    let mut client = client(&cluster).await;
    // The server's settings have come by the time of its first answer.
    assert_eq!(get(&mut client, "/").await.0, 200);
    assert!(client.is_extended_connect_protocol_enabled());
    let mut asked = request(Method::CONNECT, "/ws");
    asked
        .extensions_mut()
        .insert(h2::ext::Protocol::from_static("websocket"));
    let (response, mut send) = client.send_request(asked, false).unwrap();
    let response = response.await.unwrap();
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    send_all_but_end(&mut send, b"hello").await;
    let mut received = Vec::new();
    while !received.ends_with(b"welcome hello") {
        let data = tokio::time::timeout(PATIENCE, body.data())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        received.extend_from_slice(&data);
    }
    let seen = cluster.backends[0].behaviour.seen.lock().unwrap();
    let head = String::from_utf8_lossy(&seen[1]).to_lowercase();
    assert!(
        head.starts_with("get /ws http/1.1\r\n") && head.contains("sec-websocket-key: "),
        "{head}"
    );
}

#[tokio::test]
async fn without_tls_it_is_spoken_only_if_allowed() {
    let mut settings = settings();
    settings.http2_cleartext = true;
    let cluster = Cluster::start(1, settings).await;
    let stream = TcpStream::connect(cluster.address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(get(&mut client, "/").await.0, 200);
    assert!(cluster.get("/").await.starts_with("HTTP/1.1 200"));
    let cluster = Cluster::start(1, crate::harness::settings()).await;
    assert!(
        cluster
            .raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 505")
    );
    assert_eq!(cluster.backends[0].behaviour.sunk.load(Ordering::SeqCst), 0);
}
