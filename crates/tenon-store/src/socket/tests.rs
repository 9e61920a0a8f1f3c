//! What the socket adds: lost connections, limits, and clients that do not behave.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tempfile::TempDir;
use tenon_model::{
    DurationText, InstanceId, ManualClock, Member, MemberState, ObjectKey, Revision, Role, SystemRandom, Timestamp,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::frame::{Frame, FrameKind, Hello, PROTOCOL, encode, encode_any};
use crate::engine::{Call, Engine, Event, Reply, Request, Store};
use crate::{ClientSettings, ObjectChange, SocketSettings, SqliteEngine, SqliteSettings, StoreError, StoreServer};

struct Place {
    dir: TempDir,
    engine: Arc<dyn Engine>,
}

struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), StoreError>>,
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_000_000)));
        let engine = SqliteEngine::open(dir.path(), SqliteSettings::default(), clock).unwrap();
        Self {
            dir,
            engine: Arc::new(engine),
        }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("store.sock")
    }

    fn serve(&self) -> Running {
        self.serve_with(SocketSettings::default(), Arc::clone(&self.engine))
    }

    fn serve_with(&self, settings: SocketSettings, engine: Arc<dyn Engine>) -> Running {
        let server = StoreServer::bind(&self.socket(), settings, engine).unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(server.run(stop.clone()));
        Running { stop, task }
    }

    fn client(&self, name: &str) -> Store {
        self.client_with(name, ClientSettings::default())
    }

    fn client_with(&self, name: &str, settings: ClientSettings) -> Store {
        let instance = InstanceId::from_text(name);
        Store::connect(&self.socket(), settings, name, instance, Arc::new(SystemRandom))
    }
}

fn put(name: &str) -> Vec<ObjectChange> {
    vec![ObjectChange::Put {
        key: ObjectKey::new("sample", name.parse().unwrap()),
        body: json!({}),
        manifest: None,
        if_version: Some(0),
    }]
}

fn member(name: &str) -> Member {
    Member {
        name: name.to_owned(),
        role: Role::Server,
        instance: InstanceId::from_text(name),
        pid: 1,
        state: MemberState::Ready,
        reason: String::new(),
        version: String::new(),
        address: None,
        data_socket: None,
        control_address: None,
        started_at: Timestamp::default(),
        memory_bytes: 0,
        revision: Revision(0),
        deployment: 0,
        seen_at: Timestamp::default(),
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.unwrap()
}

#[tokio::test]
async fn only_the_owner_may_open_the_socket() {
    let place = Place::new();
    let server = place.serve();
    let mode = std::fs::metadata(place.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    server.stop().await;
    assert!(!place.socket().exists());
}

#[tokio::test]
async fn a_member_dies_with_its_connection() {
    let place = Place::new();
    let _server = place.serve();
    let watcher = place.client("watcher");
    let leaving = place.client("leaving");
    leaving.heartbeat(member("leaving")).await.unwrap();
    watcher.heartbeat(member("watcher")).await.unwrap();
    let mut events = watcher.events();
    drop(leaving);
    let dies = async {
        loop {
            let members = watcher.members().await.unwrap();
            if members[0].state == MemberState::Dead {
                return members;
            }
            assert_ne!(events.recv().await, None);
        }
    };
    let members = within(dies).await;
    assert_eq!(
        (members[0].name.as_str(), members[1].state),
        ("leaving", MemberState::Ready)
    );
}

#[tokio::test]
async fn a_member_that_spoke_on_a_newer_connection_lives() {
    let place = Place::new();
    let _server = place.serve();
    let (old, new) = (place.client("server1"), place.client("server1"));
    old.heartbeat(member("server1")).await.unwrap();
    new.heartbeat(member("server1")).await.unwrap();
    let other = place.client("other");
    other.heartbeat(member("other")).await.unwrap();
    // The end of the other's connection, which is announced, comes after that of the old one.
    drop(old);
    let mut events = new.events();
    drop(other);
    let dies = async {
        while new.members().await.unwrap()[0].state != MemberState::Dead {
            assert_ne!(events.recv().await, None);
        }
    };
    within(dies).await;
    assert_eq!(new.members().await.unwrap()[1].state, MemberState::Ready);
}

#[tokio::test]
async fn a_call_waits_for_the_store_to_come_back() {
    let place = Place::new();
    let server = place.serve();
    let store = place.client("client");
    store.write_objects(put("a"), "me").await.unwrap();
    let mut events = store.events();
    server.stop().await;
    within(store.connected().wait_for(|connected| !connected))
        .await
        .unwrap();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.write_objects(put("b"), "me").await }
    });
    let _server = place.serve();
    within(waiting).await.unwrap().unwrap();
    let reconnected = async { while events.recv().await != Some(Event::Reconnected) {} };
    within(reconnected).await;
    assert_eq!(store.objects().await.unwrap().objects.len(), 2);
}

#[tokio::test]
async fn without_a_store_a_call_says_so_in_time() {
    let place = Place::new();
    let settings = ClientSettings {
        call_timeout: DurationText::from_millis(200),
        ..ClientSettings::default()
    };
    let store = place.client_with("client", settings);
    let error = within(store.write_objects(put("a"), "me")).await.unwrap_err();
    let StoreError::Unavailable { detail, maybe_done } = &error else {
        panic!("{error}");
    };
    assert!(!maybe_done, "it was never sent");
    assert!(detail.contains("store.sock"), "{detail}");
}

/// Does the first write, and then the answer is lost with the process.
#[derive(Debug)]
struct LosesFirstAnswer {
    engine: Arc<dyn Engine>,
    lost: AtomicBool,
    stop: CancellationToken,
}

#[async_trait]
impl Engine for LosesFirstAnswer {
    async fn execute(&self, call: Call) -> Result<Reply, StoreError> {
        let reply = self.engine.execute(call).await;
        if self.lost.swap(true, Ordering::SeqCst) {
            return reply;
        }
        self.stop.cancel();
        Err(StoreError::Fatal("the answer is lost".to_owned()))
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.engine.events()
    }

    fn connected(&self) -> watch::Receiver<bool> {
        self.engine.connected()
    }
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_done_once() {
    let place = Place::new();
    let stop = CancellationToken::new();
    let losing = LosesFirstAnswer {
        engine: Arc::clone(&place.engine),
        lost: AtomicBool::new(false),
        stop: stop.clone(),
    };
    let server = StoreServer::bind(&place.socket(), SocketSettings::default(), Arc::new(losing)).unwrap();
    let first = tokio::spawn(server.run(stop));
    let store = place.client("client");
    let writing = tokio::spawn({
        let store = store.clone();
        async move { store.write_objects(put("a"), "me").await }
    });
    within(first).await.unwrap().unwrap();
    let _second = place.serve();
    let written = within(writing).await.unwrap().unwrap();
    assert_eq!((written.revision, written.objects[0].version), (Revision(1), 1));
    assert_eq!(store.objects().await.unwrap().revision, Revision(1));
}

#[tokio::test]
async fn a_few_calls_at_a_time_are_enough_for_many() {
    let place = Place::new();
    let settings = SocketSettings {
        in_flight_max: 2,
        ..SocketSettings::default()
    };
    let _server = place.serve_with(settings, Arc::clone(&place.engine));
    let store = place.client("client");
    let writers: Vec<_> = (0..200)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.write_objects(put(&format!("o{number}")), "me").await })
        })
        .collect();
    for writer in writers {
        within(writer).await.unwrap().unwrap();
    }
    assert_eq!(store.objects().await.unwrap().objects.len(), 200);
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_the_connection_lives() {
    let place = Place::new();
    let settings = SocketSettings {
        frame_max_bytes: 100_000,
        ..SocketSettings::default()
    };
    let _server = place.serve_with(settings, Arc::clone(&place.engine));
    let client_settings = ClientSettings {
        frame_max_bytes: 90_000,
        ..ClientSettings::default()
    };
    let store = place.client_with("client", client_settings);
    for number in 0..8 {
        let mut change = put(&format!("o{number}"));
        if let ObjectChange::Put { body, .. } = &mut change[0] {
            *body = json!({"text": "x".repeat(20_000)});
        }
        store.write_objects(change, "me").await.unwrap();
    }
    let too_large = store.objects().await;
    assert!(
        matches!(too_large, Err(StoreError::Invalid(_))),
        "the reply: {too_large:?}"
    );
    let mut change = put("large");
    if let ObjectChange::Put { body, .. } = &mut change[0] {
        *body = json!({"text": "x".repeat(95_000)});
    }
    let too_large = store.write_objects(change, "me").await;
    assert!(
        matches!(too_large, Err(StoreError::Invalid(_))),
        "the call: {too_large:?}"
    );
    assert!(store.now().await.is_ok());
}

async fn first_frame(socket: &Path, bytes: &[u8]) -> Option<Frame> {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    within(Frame::read(&mut stream, 1_000_000)).await.unwrap_or(None)
}

fn hello(protocol: u32) -> Vec<u8> {
    let hello = Hello {
        protocol,
        name: "raw".to_owned(),
        instance: InstanceId::from_text("raw"),
    };
    encode(FrameKind::Hello, 0, &hello, 1_000).unwrap().to_vec()
}

#[tokio::test]
async fn strangers_are_refused_with_a_reason() {
    let place = Place::new();
    let settings = SocketSettings {
        connections_max: 2,
        frame_max_bytes: 1_000_000,
        ..SocketSettings::default()
    };
    let _server = place.serve_with(settings, Arc::clone(&place.engine));
    let store = place.client("client");
    store.now().await.unwrap();
    let refused = first_frame(&place.socket(), &hello(99)).await.unwrap();
    assert_eq!(refused.kind, FrameKind::Refused);
    let error: StoreError = refused.decode().unwrap();
    assert!(error.to_string().contains("version 99"), "{error}");
    for garbage in [b"GET / HTTP/1.1\r\n\r\n".as_slice(), &[0; 64], &[255; 64]] {
        let refused = first_frame(&place.socket(), garbage).await.unwrap();
        assert_eq!(refused.kind, FrameKind::Refused);
    }
    let second = place.client("second");
    second.now().await.unwrap();
    let refused = first_frame(&place.socket(), &hello(PROTOCOL)).await.unwrap();
    let error: StoreError = refused.decode().unwrap();
    assert!(error.to_string().contains("2 clients"), "{error}");
    store.now().await.unwrap();
}

#[tokio::test]
async fn a_call_that_is_not_understood_gets_an_error_of_its_own() {
    let place = Place::new();
    let _server = place.serve();
    let mut stream = UnixStream::connect(place.socket()).await.unwrap();
    stream.write_all(&hello(PROTOCOL)).await.unwrap();
    let unknown = encode(FrameKind::Call, 5, &("no", "call"), 1_000).unwrap();
    stream.write_all(&unknown).await.unwrap();
    let known = Call {
        operation: None,
        request: Request::Now,
    };
    stream
        .write_all(&encode(FrameKind::Call, 6, &known, 1_000).unwrap())
        .await
        .unwrap();
    let mut answers = std::collections::BTreeMap::new();
    while answers.len() < 2 {
        let frame = within(Frame::read(&mut stream, 1_000_000)).await.unwrap().unwrap();
        if frame.kind == FrameKind::Answer {
            let result: Result<Reply, StoreError> = frame.decode().unwrap();
            answers.insert(frame.id, result);
        }
    }
    assert!(matches!(answers[&5], Err(StoreError::Protocol(_))), "{:?}", answers[&5]);
    assert!(answers[&6].is_ok());
    stream
        .write_all(&encode(FrameKind::Welcome, 7, &1, 1_000).unwrap())
        .await
        .unwrap();
    let frame = within(Frame::read(&mut stream, 1_000_000)).await.unwrap().unwrap();
    assert_eq!(frame.id, 7);
    stream.write_all(&[200, 0, 0, 0, 4]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    within(stream.read_to_end(&mut rest)).await.unwrap();
}

/// A long text in many pieces, which remembers the thread that encoded the last of them.
#[derive(Clone, Default)]
struct Long(Arc<std::sync::Mutex<Option<std::thread::ThreadId>>>);

impl serde::Serialize for Long {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq as _;
        let mut pieces = serializer.serialize_seq(Some(1024))?;
        for _ in 0..1024 {
            pieces.serialize_element(&"x".repeat(256))?;
        }
        *self.0.lock().unwrap() = Some(std::thread::current().id());
        pieces.end()
    }
}

#[tokio::test]
async fn what_is_long_is_encoded_beside_the_runtime() {
    let long = Long::default();
    let frame = encode_any(FrameKind::Call, 7, long.clone(), usize::MAX).await.unwrap();
    let encoded_by = long.0.lock().unwrap().take().unwrap();
    assert_ne!(encoded_by, std::thread::current().id());
    assert_eq!(frame, encode(FrameKind::Call, 7, &long, usize::MAX).unwrap());
    let too_long = encode_any(FrameKind::Call, 7, long, 1000).await;
    assert!(matches!(too_long, Err(StoreError::Invalid(_))), "{too_long:?}");
    let short = encode_any(FrameKind::Event, 8, Event::Secrets, 1000).await.unwrap();
    assert_eq!(short, encode(FrameKind::Event, 8, &Event::Secrets, 1000).unwrap());
}
