//! The golden frames of the protocol, read and written by a session on a bare socket.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use serde_json::{Value, json};
use tenon_protocol::worker::{Frame, Kind, Message, RequestFrame, decode, encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::link::Link;
use crate::session::{Session, limits};
use crate::{Body, Context, Error, Raw, Response, Worker};

/// How long anything may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn golden(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../crates/tenon-protocol/golden");
    fs::read(folder.join(format!("{name}.bin"))).unwrap()
}

async fn total(ctx: Context, input: Value) -> Result<Value, Error> {
    assert_eq!(
        (ctx.cid(), &input["name"]),
        ("5f0c1d2e3a4b5c6d7e8f9a0b", &json!("Äpfel"))
    );
    let http = ctx.http().expect("the golden request came over HTTP");
    assert_eq!(
        (http.param("id"), http.query.all("tag")),
        (Some("17"), &["a".to_owned(), "b".to_owned()][..])
    );
    assert_eq!(http.header("X-Customer"), Some("Zürich"));
    Ok(json!({"total": 2}))
}

async fn csv(_: Context) -> Result<Response<Raw>, Error> {
    let answer = Response::new(Raw::new("text/csv", &b"a,b\r\n\xff\x00\r\n"[..])).status(201);
    Ok(answer
        .header("x-rows", "2")
        .header("set-cookie", "a=1")
        .header("set-cookie", "b=2"))
}

async fn pieces(_: Context) -> Result<Body, Error> {
    Ok(Body::write_with("text/plain", |mut writer| async move {
        writer.write(&b"a piece \xff\x00"[..]).await
    }))
}

/// A session and the other end of its socket, after the hello.
async fn start() -> (Arc<Session>, UnixStream) {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let worker = Worker::new()
        .service("csv", csv)
        .service("pieces", pieces)
        .service("total", total)
        .without_logs();
    let session = worker.open(Link::new(limits(None)), theirs);
    let serving = session.clone();
    tokio::spawn(async move { serving.serve(serving.hello(1, "test")).await });
    let hello = receive(&mut ours, &mut BytesMut::new()).await;
    assert!(matches!(Message::from_frame(hello).unwrap(), Message::Hello(hello) if hello.services.len() == 3));
    (session, ours)
}

async fn receive(socket: &mut UnixStream, buffer: &mut BytesMut) -> Frame {
    loop {
        if let Some(frame) = decode(buffer, &limits(None)).unwrap() {
            return frame;
        }
        assert!(socket.read_buf(buffer).await.unwrap() > 0, "the session goes on");
    }
}

fn bytes_of(frame: &Frame) -> BytesMut {
    let mut bytes = BytesMut::new();
    encode(frame, &mut bytes, &limits(None)).unwrap();
    bytes
}

#[tokio::test]
async fn the_golden_request_gets_the_golden_reply() {
    let (_, mut socket) = start().await;
    let mut request = golden("request");
    // The deadline, which is an instant of another machine: none.
    request[24..32].fill(0);
    socket.write_all(&request).await.unwrap();
    let reply = receive(&mut socket, &mut BytesMut::new()).await;
    assert_eq!(bytes_of(&reply), golden("reply")[..]);
}

#[tokio::test]
async fn headers_chunks_and_pings_are_written_as_the_golden_ones() {
    let (_, mut socket) = start().await;
    let request = |service, id| {
        Message::Request(RequestFrame {
            id,
            service,
            deadline_ns: 0,
            cid: "c".into(),
            metadata: "".into(),
            body_is_json: false,
            is_stream: false,
            body: "".into(),
        })
    };
    let mut buffer = BytesMut::new();
    socket
        .write_all(&bytes_of(&request(0, (7 << 32) | 3).into_frame()))
        .await
        .unwrap();
    let reply = receive(&mut socket, &mut buffer).await;
    let expected = decode(&mut BytesMut::from(&golden("reply-with-headers")[..]), &limits(None))
        .unwrap()
        .unwrap();
    let (reply, expected) = (
        Message::from_frame(reply).unwrap(),
        Message::from_frame(expected).unwrap(),
    );
    assert_eq!(reply, expected);

    socket.write_all(&bytes_of(&request(1, 9).into_frame())).await.unwrap();
    let begins = receive(&mut socket, &mut buffer).await;
    assert!(matches!(Message::from_frame(begins).unwrap(), Message::Reply(reply) if reply.is_stream));
    for name in ["chunk", "chunk-last"] {
        let chunk = receive(&mut socket, &mut buffer).await;
        assert_eq!(bytes_of(&chunk), golden(name)[..], "{name}");
    }
    socket.write_all(&golden("ping")).await.unwrap();
    assert_eq!(bytes_of(&receive(&mut socket, &mut buffer).await), golden("ping")[..]);
}

#[tokio::test]
async fn every_golden_frame_of_a_server_is_read() {
    let (session, mut socket) = start().await;
    let mut buffer = BytesMut::new();
    for name in [
        "cancel",
        "chunk",
        "chunk-last",
        "chunk-cut-off",
        "credit",
        "config",
        "host-return",
        "host-return-error",
        "host-return-json",
    ] {
        socket.write_all(&golden(name)).await.unwrap();
        socket.write_all(&golden("ping")).await.unwrap();
        assert_eq!(receive(&mut socket, &mut buffer).await.kind, Kind::Ping, "after {name}");
    }
    let configuration = session.link.configuration();
    assert_eq!(
        (
            configuration.version(),
            configuration.get("app", "limits", "orders_max")
        ),
        (3, Some(&json!(10)))
    );
    socket.write_all(&golden("request-bare")).await.unwrap();
    assert_eq!(receive(&mut socket, &mut buffer).await.kind, Kind::Reply);
    socket.write_all(&golden("drain")).await.unwrap();
    assert_eq!(socket.read_buf(&mut buffer).await.unwrap(), 0, "a drained session ends");
}

#[tokio::test]
async fn frames_that_are_not_for_a_worker_end_the_session() {
    for name in ["hello", "reply", "host-call", "log", "metric"] {
        let (_, mut socket) = start().await;
        socket.write_all(&golden(name)).await.unwrap();
        assert_eq!(socket.read_buf(&mut BytesMut::new()).await.unwrap(), 0, "after {name}");
    }
}

#[tokio::test]
async fn chunks_beyond_their_credit_end_the_session() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let never = |_: Context, body: crate::BodyStream| async move {
        std::future::pending::<()>().await;
        drop(body);
        Ok::<_, Error>(())
    };
    let session = Worker::new()
        .service("never", never)
        .open(Link::new(limits(None)), theirs);
    tokio::spawn(async move { session.serve(session.hello(1, "test")).await });
    let mut buffer = BytesMut::new();
    receive(&mut ours, &mut buffer).await;
    let id = 9;
    let request = RequestFrame {
        id,
        service: 0,
        deadline_ns: 0,
        cid: "c".into(),
        metadata: "".into(),
        body_is_json: false,
        is_stream: true,
        body: "".into(),
    };
    ours.write_all(&bytes_of(&Message::Request(request).into_frame()))
        .await
        .unwrap();
    let chunk = Frame {
        body: vec![0; 64 << 10].into(),
        ..Frame::bare(Kind::Chunk, id)
    };
    for _ in 0..5 {
        // The last one may meet a socket that is closed.
        let _ = ours.write_all(&bytes_of(&chunk)).await;
    }
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, ours.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the session goes on");
}
