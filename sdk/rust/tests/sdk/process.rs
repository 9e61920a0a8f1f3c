//! A whole worker process: the example `conformance` with a socket, a standard input and a test in the server's place.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use command_fds::{CommandFdExt, FdMapping};
use serde_json::{Value, json};
use tenon_protocol::worker::{Hello, Limits, Message, RequestFrame, decode, encode};

/// How long anything may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn program() -> PathBuf {
    // Cargo builds examples beside the tests' own folder.
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("examples/conformance")
}

/// A worker whose server is the test.
struct Played {
    child: Child,
    socket: UnixStream,
    buffer: BytesMut,
    hello: Hello,
}

impl Played {
    fn start() -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = Command::new(program());
        command
            .args(["--root", "/", "--group", "test"])
            .env("TENON_WORKER_FD", "3")
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        let mapping = FdMapping {
            parent_fd: OwnedFd::from(theirs),
            child_fd: 3,
        };
        let child = command.fd_mappings(vec![mapping]).unwrap().spawn().unwrap();
        drop(command);
        let mut played = Self {
            child,
            socket: ours,
            buffer: BytesMut::new(),
            hello: serde_json::from_value(json!({"protocol": 1, "pid": 0})).unwrap(),
        };
        let Message::Hello(hello) = played.receive() else {
            panic!("a worker says hello first");
        };
        played.hello = hello;
        played
    }

    fn send(&mut self, message: Message) {
        let mut bytes = BytesMut::new();
        encode(&message.into_frame(), &mut bytes, &Limits::default()).unwrap();
        self.socket.write_all(&bytes).unwrap();
    }

    fn receive(&mut self) -> Message {
        loop {
            if let Some(frame) = decode(&mut self.buffer, &Limits::default()).unwrap() {
                return Message::from_frame(frame).unwrap();
            }
            let mut bytes = [0_u8; 4096];
            let count = self.socket.read(&mut bytes).unwrap();
            assert!(count > 0, "the worker closed its socket");
            self.buffer.extend_from_slice(&bytes[..count]);
        }
    }

    fn request(&mut self, id: u64, service: &str, body: &Value) {
        let index = self.hello.services.iter().position(|one| one.name == service).unwrap();
        self.send(Message::Request(RequestFrame {
            id,
            service: u16::try_from(index).unwrap(),
            deadline_ns: 0,
            cid: Bytes::from_static(b"cid-1"),
            metadata: Bytes::new(),
            body_is_json: true,
            is_stream: false,
            body: body.to_string().into(),
        }));
    }

    fn reply(&mut self) -> (u64, u16) {
        match self.receive() {
            Message::Reply(reply) => (reply.id, reply.status),
            other => panic!("{other:?} is no reply"),
        }
    }

    fn exit_code(mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the worker does not end");
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_worker_says_what_it_has_and_ends_with_its_connection() {
    let mut worker = Played::start();
    assert_eq!(
        (worker.hello.pid, worker.hello.python.as_str()),
        (worker.child.id(), "")
    );
    let names: Vec<_> = worker
        .hello
        .services
        .iter()
        .map(|service| service.name.clone())
        .collect();
    assert!(
        names.contains(&"conformance.languages.typed_input".to_owned()),
        "{names:?}"
    );
    let typed = worker
        .hello
        .services
        .iter()
        .find(|service| service.name.ends_with("typed_input"))
        .unwrap();
    assert_eq!(
        typed.input.as_ref().unwrap()["properties"]["customer"]["type"],
        "string"
    );
    assert_eq!((typed.file.as_str(), typed.is_async), ("conformance", true));
    worker.request(1, "test.block", &json!(0));
    assert_eq!(worker.reply(), (1, 200));
    worker.socket.shutdown(std::net::Shutdown::Both).unwrap();
    assert_eq!(worker.exit_code(), Some(0));
}

#[test]
fn a_drained_worker_ends_after_its_last_answer() {
    let mut worker = Played::start();
    worker.request(1, "test.wait", &json!(100));
    worker.send(Message::Drain);
    worker.request(2, "test.wait", &json!(0));
    assert_eq!(worker.reply(), (2, 503));
    assert_eq!(worker.reply(), (1, 200));
    assert_eq!(worker.exit_code(), Some(0));
}

#[test]
fn pings_are_answered_while_a_handler_keeps_the_thread() {
    let mut worker = Played::start();
    worker.request(1, "test.block", &json!(60_000));
    worker.send(Message::Ping { id: 99 });
    worker.send(Message::Cancel { id: 1 });
    assert_eq!(worker.receive(), Message::Ping { id: 99 });
    assert!(worker.child.try_wait().unwrap().is_none());
}

#[test]
fn a_worker_ends_with_its_server_even_while_a_handler_keeps_the_thread() {
    let mut worker = Played::start();
    worker.request(1, "test.block", &json!(60_000));
    drop(worker.child.stdin.take());
    assert_eq!(worker.exit_code(), Some(0));
}

#[test]
fn a_server_that_breaks_the_protocol_is_left() {
    let mut worker = Played::start();
    worker.socket.write_all(&[0xff; 64]).unwrap();
    assert_eq!(worker.exit_code(), Some(76));
}

#[test]
fn programs_that_a_service_starts_hold_neither_socket_nor_pipe() {
    let mut worker = Played::start();
    worker.request(1, "test.child", &Value::Null);
    assert_eq!(worker.reply(), (1, 200));
    worker.child.kill().unwrap();
    let mut rest = Vec::new();
    // The child of the worker goes on, but the socket is at its end.
    worker.socket.read_to_end(&mut rest).unwrap();
}

fn by_hand(arguments: &[&str], descriptor: Option<&str>) -> Output {
    let mut command = Command::new(program());
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env_remove("TENON_WORKER_FD");
    if let Some(descriptor) = descriptor {
        command.env("TENON_WORKER_FD", descriptor);
    }
    command.output().unwrap()
}

#[test]
fn a_program_that_is_started_by_hand_explains_itself() {
    let output = by_hand(&[], None);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64));
    assert!(said.contains("tenon deploy PATH/conformance"), "{said}");
    let wrong = by_hand(&[], Some("77"));
    assert_eq!(wrong.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("TENON_WORKER_FD"));
    let described: Value = serde_json::from_slice(&by_hand(&["--describe"], None).stdout).unwrap();
    assert!(
        described
            .as_array()
            .unwrap()
            .iter()
            .any(|service| service["name"] == "test.block"),
        "{described}"
    );
}
