//! Golden frames, round trips and hostile input.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

const LIMITS: Limits = Limits {
    header_bytes: 4096,
    body_bytes: 65536,
};

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

fn text(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

/// Name, from, message of each golden frame.
fn golden_messages() -> Vec<(&'static str, &'static str, Message)> {
    let mut all = requests();
    all.extend(replies());
    all.extend(host_calls());
    all.extend(rest());
    all.extend(streams());
    all
}

fn requests() -> Vec<(&'static str, &'static str, Message)> {
    let metadata = json!({
        "channel": "rest", "channel_name": "user-details", "method": "POST", "path": "/orders/17",
        "query": {"verbose": "1", "tag": ["a", "b"]}, "params": {"id": "17"},
        "headers": {"content-type": "application/json", "x-customer": "Zürich"},
        "remote": "192.0.2.7:50000", "data_format": "json", "merged_params": {"id": "17", "verbose": "1"}, "deployment": 12
    });
    vec![
        (
            "request",
            "server",
            Message::Request(RequestFrame {
                id: (7 << 32) | 3,
                service: 2,
                deadline_ns: 123_456_789_012_345,
                cid: Bytes::from_static(b"5f0c1d2e3a4b5c6d7e8f9a0b"),
                metadata: text(&metadata),
                body_is_json: true,
                is_stream: false,
                body: Bytes::from_static(b"{\"amount\":12.5,\"name\":\"\xc3\x84pfel\"}"),
            }),
        ),
        (
            "request-bare",
            "server",
            Message::Request(RequestFrame {
                id: 1,
                service: 0,
                deadline_ns: 0,
                cid: Bytes::new(),
                metadata: Bytes::new(),
                body_is_json: false,
                is_stream: false,
                body: Bytes::new(),
            }),
        ),
        (
            "request-stream",
            "server",
            Message::Request(RequestFrame {
                id: 9,
                service: 1,
                deadline_ns: 1,
                cid: Bytes::from_static(b"5f0c1d2e3a4b5c6d7e8f9a0b"),
                metadata: Bytes::new(),
                body_is_json: false,
                is_stream: true,
                body: Bytes::new(),
            }),
        ),
    ]
}

fn replies() -> Vec<(&'static str, &'static str, Message)> {
    let reply = ReplyFrame {
        id: (7 << 32) | 3,
        status: 200,
        body_is_json: true,
        is_error: false,
        is_stream: false,
        head: Bytes::new(),
        body: Bytes::from_static(b"{\"total\":2}"),
    };
    let head = json!({"content_type": "text/csv", "headers": {"x-rows": "2", "set-cookie": ["a=1", "b=2"]}});
    let raised = json!({
        "type": "ValueError", "message": "no such customer", "cid": "5f0c1d2e3a4b5c6d7e8f9a0b",
        "traceback": "Traceback (most recent call last):\n  File \"a.py\", line 3, in handle\nValueError: no such customer\n"
    });
    vec![
        ("reply", "worker", Message::Reply(reply.clone())),
        (
            "reply-stream",
            "worker",
            Message::Reply(ReplyFrame {
                body_is_json: false,
                is_stream: true,
                head: text(&json!({"content_type": "text/csv"})),
                body: Bytes::from_static(b"a,b\r\n"),
                ..reply.clone()
            }),
        ),
        (
            "reply-with-headers",
            "worker",
            Message::Reply(ReplyFrame {
                status: 201,
                body_is_json: false,
                head: text(&head),
                body: Bytes::from_static(b"a,b\r\n\xff\x00\r\n"),
                ..reply.clone()
            }),
        ),
        (
            "reply-error",
            "worker",
            Message::Reply(ReplyFrame {
                status: 500,
                is_error: true,
                body: text(&raised),
                ..reply
            }),
        ),
    ]
}

fn host_calls() -> Vec<(&'static str, &'static str, Message)> {
    vec![
        (
            "host-call",
            "worker",
            Message::HostCall(HostCallFrame {
                id: (7 << 32) | 3,
                call: 41,
                request: map(json!({
                    "op": "outgoing", "kind": "sql-outgoing", "name": "Billing", "operation": "all",
                    "arguments": {"sql": "SELECT 1 WHERE name = :name", "params": {"name": "Anna"}}
                })),
                body_is_json: false,
                body: Bytes::new(),
            }),
        ),
        (
            "host-call-json",
            "worker",
            Message::HostCall(HostCallFrame {
                id: (7 << 32) | 3,
                call: 42,
                request: map(json!({"op": "invoke", "service": "x"})),
                body_is_json: true,
                body: Bytes::from_static(b"[1,null]"),
            }),
        ),
        (
            "host-return-json",
            "server",
            Message::HostReturn(HostReturnFrame {
                id: (7 << 32) | 3,
                call: 42,
                code: 0,
                tail: text(&json!({"status": 200, "content_type": null, "is_json": true})),
                body_is_json: true,
                body: Bytes::from_static(b"\"text\""),
            }),
        ),
        (
            "host-return",
            "server",
            Message::HostReturn(HostReturnFrame {
                id: (7 << 32) | 3,
                call: 41,
                code: 0,
                tail: text(&json!({"result": [{"balance": "12.50"}]})),
                body_is_json: false,
                body: Bytes::new(),
            }),
        ),
        (
            "host-return-error",
            "server",
            Message::HostReturn(HostReturnFrame {
                id: (7 << 32) | 3,
                call: 42,
                code: 404,
                tail: text(&json!({"error": "no service is called 'x'", "type": "NotFound"})),
                body_is_json: false,
                body: Bytes::new(),
            }),
        ),
    ]
}

fn rest() -> Vec<(&'static str, &'static str, Message)> {
    vec![
        ("cancel", "server", Message::Cancel { id: (7 << 32) | 3 }),
        ("drain", "server", Message::Drain),
        (
            "hello",
            "worker",
            Message::Hello(Hello {
                protocol: PROTOCOL_VERSION,
                pid: 4242,
                python: "3.11.2".to_owned(),
                threads: 64,
                services: vec![WorkerService {
                    name: "api.my-service".to_owned(),
                    file: "api/my_service.py".to_owned(),
                    class: "MyService".to_owned(),
                    doc: Some("Answers.".to_owned()),
                    is_async: false,
                    idempotent: true,
                    timeout_ms: Some(1500),
                    http_methods: Some(vec!["GET".to_owned(), "POST".to_owned()]),
                    streams: true,
                    input: Some(json!({"type": "object", "properties": {"name": {"type": "string"}}})),
                    output: None,
                }],
                refused: vec![RefusedImport {
                    path: "broken.py".to_owned(),
                    error: "NameError: name 'x' is not defined".to_owned(),
                    traceback: "Traceback (most recent call last):\n".to_owned(),
                    kept_previous: true,
                }],
            }),
        ),
        ("ping", "both", Message::Ping { id: 99 }),
        (
            "log",
            "worker",
            Message::Log(LogLine {
                level: "warning".to_owned(),
                logger: "api.my-service".to_owned(),
                message: "two\nlines".to_owned(),
                cid: Some("5f0c1d2e3a4b5c6d7e8f9a0b".to_owned()),
                service: Some("api.my-service".to_owned()),
            }),
        ),
        (
            "config",
            "server",
            Message::Config(text(
                &json!({"version": 3, "files": {"app": {"limits": {"orders_max": 10, "greeting": "Grüezi"}}}}),
            )),
        ),
        (
            "metric",
            "worker",
            Message::Metric(Metric {
                name: "orders_total".to_owned(),
                kind: MetricKind::Counter,
                value: 2.5,
                labels: [("country".to_owned(), "CH".to_owned())].into(),
                service: "api.my-service".to_owned(),
            }),
        ),
    ]
}

fn streams() -> Vec<(&'static str, &'static str, Message)> {
    let piece = ChunkFrame {
        id: 9,
        is_last: false,
        is_error: false,
        status: 0,
        body: Bytes::from_static(b"a piece \xff\x00"),
    };
    let last = ChunkFrame {
        is_last: true,
        body: Bytes::new(),
        ..piece.clone()
    };
    let cut_off = ChunkFrame {
        is_error: true,
        status: 413,
        body: Bytes::from_static(b"the body has more than 10 bytes"),
        ..piece.clone()
    };
    vec![
        ("chunk", "both", Message::Chunk(piece)),
        ("chunk-last", "both", Message::Chunk(last)),
        ("chunk-cut-off", "both", Message::Chunk(cut_off)),
        ("credit", "both", Message::Credit { id: 9, bytes: 65536 }),
    ]
}

fn bytes_as_json(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!({ "text": text }),
        Err(_) => json!({ "base64": base64::engine::general_purpose::STANDARD.encode(bytes) }),
    }
}

fn describe(from: &str, message: &Message) -> Value {
    let frame = message.clone().into_frame();
    let tail = match message {
        Message::Request(request) => json!({
            "deadline_ns": request.deadline_ns,
            "cid": bytes_as_json(&request.cid)["text"],
            "metadata": serde_json::from_slice::<Value>(&request.metadata).ok(),
        }),
        _ => json!({ "json": serde_json::from_slice::<Value>(&frame.tail).ok() }),
    };
    json!({
        "from": from, "kind": frame.kind as u8, "name": format!("{:?}", frame.kind), "flags": frame.flags,
        "code": frame.code, "call": frame.call, "id": frame.id, "tail": tail, "body": bytes_as_json(&frame.body),
    })
}

#[test]
fn golden_frames_are_what_this_code_writes_and_reads() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    for (name, from, message) in golden_messages() {
        let mut bytes = BytesMut::new();
        encode(&message.clone().into_frame(), &mut bytes, &LIMITS).unwrap();
        let description = format!("{:#}\n", describe(from, &message));
        let (binary, text) = (folder.join(format!("{name}.bin")), folder.join(format!("{name}.json")));
        if update {
            fs::write(&binary, &bytes).unwrap();
            fs::write(&text, &description).unwrap();
        }
        assert_eq!(
            fs::read(&binary).unwrap(),
            bytes,
            "{name}.bin; UPDATE_GOLDEN=1 writes it anew"
        );
        assert_eq!(fs::read_to_string(&text).unwrap(), description, "{name}.json");
        let frame = decode(&mut bytes, &LIMITS).unwrap().unwrap();
        assert!(bytes.is_empty());
        assert_eq!(Message::from_frame(frame).unwrap(), message, "{name}");
    }
}

#[test]
fn a_request_written_in_place_is_the_same_bytes() {
    let metadata = json!({"channel": "cli"});
    let request = RequestFrame {
        id: 5,
        service: 9,
        deadline_ns: 77,
        cid: Bytes::from_static(b"abc"),
        metadata: text(&metadata),
        body_is_json: true,
        is_stream: true,
        body: Bytes::from_static(b"[]"),
    };
    let mut whole = BytesMut::new();
    encode(&Message::Request(request).into_frame(), &mut whole, &LIMITS).unwrap();
    let head = RequestHead {
        id: 5,
        service: 9,
        deadline_ns: 77,
        cid: "abc",
        body_is_json: true,
        is_stream: true,
        body_bytes: 2,
    };
    let mut parts = BytesMut::new();
    encode_request(head, Some(&metadata), &mut parts, &LIMITS).unwrap();
    parts.extend_from_slice(b"[]");
    assert_eq!(whole, parts);
}

#[test]
fn what_breaks_a_limit_is_refused_before_it_is_there() {
    let refused = |bytes: &[u8]| decode(&mut BytesMut::from(bytes), &LIMITS).unwrap_err().to_string();
    assert!(refused(b"\xff\xff\xff\xff\0\0\0\0").contains("header of 4294967295"));
    assert!(refused(b"\x10\0\0\0\xff\xff\xff\xff").contains("body of 4294967295"));
    assert!(refused(b"\x0f\0\0\0\0\0\0\0").contains("fewer than 16"));
    assert!(refused(b"\x10\0\0\0\0\0\0\0\x0e").contains("unknown kind 14"));
    assert!(refused(b"\x10\0\0\0\0\0\0\0\x04").contains("unknown kind 4"));
    let mut buffer = BytesMut::from(&b"kept"[..]);
    let frame = Frame {
        body: Bytes::from(vec![0; LIMITS.body_bytes + 1]),
        ..Frame::bare(Kind::Reply, 1)
    };
    assert!(matches!(
        encode(&frame, &mut buffer, &LIMITS),
        Err(Violation::BodyTooLong { .. })
    ));
    let frame = Frame {
        tail: Bytes::from(vec![0; LIMITS.header_bytes]),
        ..Frame::bare(Kind::Reply, 1)
    };
    assert!(matches!(
        encode(&frame, &mut buffer, &LIMITS),
        Err(Violation::HeaderTooLong { .. })
    ));
    assert_eq!(&buffer[..], b"kept");
}

#[test]
fn a_hello_of_another_version_is_refused() {
    assert!(matches!(
        Hello::parse(b"{\"protocol\":2,\"pid\":1}"),
        Err(Violation::Version(2))
    ));
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let bytes = |max| prop::collection::vec(any::<u8>(), 0..max).prop_map(Bytes::from);
    let kind = prop::sample::select(&Kind::ALL[..]);
    (kind, any::<(u8, u16, u32, u64)>(), bytes(200), bytes(3000)).prop_map(
        |(kind, (flags, code, call, id), tail, body)| Frame {
            kind,
            flags,
            code,
            call,
            id,
            tail,
            body,
        },
    )
}

proptest! {
    #[test]
    fn frames_read_back_whatever_the_pieces_they_come_in(
        frames in prop::collection::vec(any_frame(), 1..8),
        piece in 1_usize..700,
    ) {
        let mut wire = BytesMut::new();
        for frame in &frames {
            encode(frame, &mut wire, &LIMITS).unwrap();
        }
        let mut buffer = BytesMut::new();
        let mut read = Vec::new();
        for chunk in wire.chunks(piece) {
            buffer.extend_from_slice(chunk);
            while let Some(frame) = decode(&mut buffer, &LIMITS).unwrap() {
                read.push(frame);
            }
        }
        prop_assert!(buffer.is_empty());
        prop_assert_eq!(read, frames);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic_or_reserve_beyond_the_limits(
        lengths in any::<(u32, u32)>(),
        small in any::<bool>(),
        noise in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut bytes = BytesMut::new();
        let (header, body) = if small { (lengths.0 % 5000, lengths.1 % 70_000) } else { lengths };
        bytes.extend_from_slice(&header.to_le_bytes());
        bytes.extend_from_slice(&body.to_le_bytes());
        bytes.extend_from_slice(&noise);
        let before = bytes.len();
        while let Ok(Some(frame)) = decode(&mut bytes, &LIMITS) {
            let _ = Message::from_frame(frame);
        }
        prop_assert!(bytes.capacity() <= 2 * (before + LENGTHS_BYTES + LIMITS.header_bytes + LIMITS.body_bytes));
    }

    #[test]
    fn golden_frames_with_wrong_bytes_are_refused_or_understood_wherever_they_are_split(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        splits in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let messages = golden_messages();
        let (_, _, message) = &messages[which.index(messages.len())];
        let mut wire = BytesMut::new();
        encode(&message.clone().into_frame(), &mut wire, &LIMITS).unwrap();
        for (at, byte) in changes {
            let at = at.index(wire.len());
            wire[at] = byte;
        }
        wire.truncate(wire.len() - cut.index(4));
        let whole = read_in_pieces(&wire, &[]);
        let splits: Vec<usize> = splits.iter().map(|split| split.index(wire.len() + 1)).collect();
        prop_assert_eq!(&whole, &read_in_pieces(&wire, &splits));
        // What was understood says itself again.
        for message in whole.0 {
            let mut again = BytesMut::new();
            encode(&message.clone().into_frame(), &mut again, &LIMITS).unwrap();
            let frame = decode(&mut again, &LIMITS).unwrap().unwrap();
            prop_assert_eq!(Message::from_frame(frame).unwrap(), message);
        }
    }
}

/// What comes out of some bytes that arrive in pieces: messages, and the violation that ended them.
fn read_in_pieces(wire: &[u8], splits: &[usize]) -> (Vec<Message>, Option<String>) {
    let mut splits = splits.to_vec();
    splits.extend([0, wire.len()]);
    splits.sort_unstable();
    let (mut buffer, mut messages) = (BytesMut::new(), Vec::new());
    for piece in splits.windows(2).map(|ends| &wire[ends[0]..ends[1]]) {
        buffer.extend_from_slice(piece);
        loop {
            match decode(&mut buffer, &LIMITS).and_then(|frame| frame.map(Message::from_frame).transpose()) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(violation) => return (messages, Some(violation.to_string())),
            }
        }
    }
    (messages, None)
}

/// Frames that are wrong before anything of them is read.
fn hostile_heads() -> Vec<(&'static str, Bytes, &'static str)> {
    vec![
        (
            "header-too-long",
            Bytes::from_static(b"\xff\xff\xff\xff\0\0\0\0"),
            "header of 4294967295",
        ),
        (
            "header-too-short",
            Bytes::from_static(b"\x0f\0\0\0\0\0\0\0"),
            "fewer than 16",
        ),
        (
            "body-too-long",
            Bytes::from_static(b"\x10\0\0\0\xff\xff\xff\xff"),
            "body of 4294967295",
        ),
        (
            "kind-unknown",
            Bytes::from_static(b"\x10\0\0\0\0\0\0\0\x0e"),
            "unknown kind 14",
        ),
    ]
}

/// Frames that break the protocol, each with what is said of it. They are kept as files, `hostile/NAME.bin`, for other
/// implementations and as the seeds of a fuzzer.
fn hostile_frames() -> Vec<(&'static str, Bytes, &'static str)> {
    let frame = |frame: Frame| {
        let limits = Limits {
            header_bytes: 1 << 20,
            body_bytes: 1 << 20,
        };
        let mut bytes = BytesMut::new();
        encode(&frame, &mut bytes, &limits).unwrap();
        bytes.freeze()
    };
    let with_tail = |kind, tail: &'static [u8]| {
        frame(Frame {
            tail: Bytes::from_static(tail),
            ..Frame::bare(kind, 1)
        })
    };
    let with_body = |kind, body: &[u8]| {
        frame(Frame {
            body: Bytes::copy_from_slice(body),
            ..Frame::bare(kind, 1)
        })
    };
    let mut all = hostile_heads();
    all.extend([
        ("request-tail-short", with_tail(Kind::Request, b"123456789"), "tail"),
        (
            "request-cid-short",
            with_tail(Kind::Request, b"12345678\x05\x00abcd"),
            "correlation id",
        ),
        ("host-call-tail", with_tail(Kind::HostCall, b"[1]"), "tail"),
        ("host-call-deep", with_tail(Kind::HostCall, &[b'['; 3000]), "tail"),
        ("log-body", with_body(Kind::Log, b"{\"level\":\xff}"), "body"),
        (
            "metric-kind",
            with_body(Kind::Metric, b"{\"name\":\"a\",\"kind\":\"sum\",\"value\":1}"),
            "body",
        ),
        (
            "metric-number",
            with_body(Kind::Metric, b"{\"name\":\"a\",\"kind\":\"gauge\",\"value\":1e999}"),
            "body",
        ),
        ("hello-body", with_body(Kind::Hello, b"{}"), "body"),
        (
            "hello-version",
            with_body(Kind::Hello, b"{\"protocol\":9,\"pid\":1}"),
            "version 9",
        ),
        ("chunk-empty", with_body(Kind::Chunk, b""), "length"),
        (
            "chunk-too-long",
            with_body(Kind::Chunk, &vec![0; CHUNK_BYTES_MAX + 1]),
            "length",
        ),
    ]);
    all
}

#[test]
fn hostile_frames_are_refused_wherever_they_are_split() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("hostile");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let limits = Limits {
        body_bytes: 1 << 20,
        ..LIMITS
    };
    for (name, bytes, expected) in hostile_frames() {
        let file = folder.join(format!("{name}.bin"));
        if update {
            fs::write(&file, &bytes).unwrap();
        }
        assert_eq!(
            fs::read(&file).unwrap(),
            bytes,
            "{name}.bin; UPDATE_GOLDEN=1 writes it anew"
        );
        for split in 0..bytes.len().min(64) {
            let mut buffer = BytesMut::from(&bytes[..split]);
            let first = decode(&mut buffer, &limits);
            let refused = match first {
                Err(violation) => violation,
                Ok(frame) => {
                    assert!(frame.is_none(), "{name}: a frame after {split} bytes");
                    buffer.extend_from_slice(&bytes[split..]);
                    let frame = decode(&mut buffer, &limits);
                    match frame.and_then(|frame| Message::from_frame(frame.expect("a whole frame"))) {
                        Err(violation) => violation,
                        Ok(message) => panic!("{name}: {message:?}"),
                    }
                }
            };
            assert!(refused.to_string().contains(expected), "{name}: {refused}");
        }
    }
}
