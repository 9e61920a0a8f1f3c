//! The store is killed at random moments while clients write; what was acknowledged must be there, and nothing twice.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tenon_model::{InstanceId, ManualRandom, ObjectKey, OperationId, Random, SystemClock, SystemRandom, Timestamp};
use tenon_store::{
    BackgroundRequest, Call, ClientSettings, Event, NewBackground, NewRun, ObjectChange, ObjectRequest, OnLost,
    Overlap, Request, RunRequest, SocketSettings, SqliteEngine, SqliteSettings, Store, StoreServer,
};
use tokio_util::sync::CancellationToken;

const KILLS: usize = 5;
const CLIENTS: usize = 4;
const WRITERS_PER_CLIENT: usize = 4;
const DIR_VARIABLE: &str = "TENON_STORE_CRASH_DIR";

/// Not a test: the store process of the test below, which starts this binary with this name.
#[test]
#[ignore = "the store process of the crash test"]
fn store_process() {
    let Some(dir) = std::env::var_os(DIR_VARIABLE) else {
        return;
    };
    // Ends with its owner, however that ends.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::abort();
    });
    let dir = PathBuf::from(dir);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let engine = SqliteEngine::open(&dir.join("data"), SqliteSettings::default(), Arc::new(SystemClock)).unwrap();
    runtime.block_on(async {
        let server = StoreServer::bind(&dir.join("store.sock"), SocketSettings::default(), Arc::new(engine)).unwrap();
        server.run(CancellationToken::new()).await.unwrap();
    });
}

fn start_store(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "store_process", "--nocapture"])
        .env(DIR_VARIABLE, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn connect(dir: &Path, number: usize) -> Store {
    let name = format!("client{number}");
    let instance = InstanceId::from_text(&name);
    let socket = dir.join("store.sock");
    Store::connect(
        &socket,
        ClientSettings::default(),
        &name,
        instance,
        Arc::new(SystemRandom),
    )
}

/// A write that says under which operation it was done: as the actor of a change, the service of a run, or the
/// correlation id of a background call.
fn write_of(id: &OperationId, number: u64) -> Request {
    if number.is_multiple_of(4) {
        let call = NewBackground {
            cid: id.to_string(),
            service: "a.service".to_owned(),
            step: json!(null),
            payload: "null".into(),
            delay_ms: 0,
        };
        return BackgroundRequest::Put {
            calls: vec![call],
            then: None,
            claimer: None,
        }
        .into();
    }
    if number.is_multiple_of(3) {
        let run = NewRun {
            job: format!("job-{id}"),
            planned_at: Timestamp::from_millis(0),
            skipped: None,
            service: "a.service".to_owned(),
            payload: json!(null),
            timeout_ms: 1,
            attempts_max: 1,
            retry_delay_ms: 0,
            retry_delay_max_ms: 0,
            on_lost: OnLost::Rerun,
            overlap: Overlap::Allow,
        };
        return RunRequest::AddManual(Box::new(run)).into();
    }
    let key = |name: &str| ObjectKey::new("sample", name.parse().unwrap());
    let put = |key, if_version| ObjectChange::Put {
        key,
        body: json!({ "number": number }),
        manifest: None,
        if_version,
    };
    let changes = vec![put(key(id.as_str()), Some(0)), put(key("shared"), None)];
    let actor = id.to_string();
    ObjectRequest::Write { changes, actor }.into()
}

/// What the test's clients saw.
struct Seen {
    acknowledged: Mutex<File>,
    unknown: AtomicU64,
    stop: AtomicBool,
}

async fn write_until_told(store: Store, seen: Arc<Seen>, writer: u64) {
    let random = ManualRandom::new(writer);
    let mut number = 0;
    while !seen.stop.load(Ordering::SeqCst) {
        number += 1;
        let id = OperationId::generate(&random);
        let call = Call {
            operation: Some(id.clone()),
            request: write_of(&id, number),
        };
        match store.engine().execute(call).await {
            Ok(_) => {
                let mut file = seen.acknowledged.lock().unwrap();
                let kind = match number {
                    _ if number.is_multiple_of(4) => "background",
                    _ if number.is_multiple_of(3) => "run",
                    _ => "objects",
                };
                writeln!(file, "{id} {kind}").unwrap();
                file.sync_data().unwrap();
            }
            // Nobody may be told that a write failed that was repeated under its id.
            Err(error) if error.is_transient() => {
                seen.unknown.fetch_add(1, Ordering::SeqCst);
            }
            Err(error) => panic!("writer {writer}: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_store_loses_nothing_and_does_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let acknowledged = dir.path().join("acknowledged");
    let seen = Arc::new(Seen {
        acknowledged: Mutex::new(File::create(&acknowledged).unwrap()),
        unknown: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    });
    let mut store_process = start_store(dir.path());
    let stores: Vec<Store> = (0..CLIENTS).map(|number| connect(dir.path(), number)).collect();
    let writers: Vec<_> = (0..CLIENTS * WRITERS_PER_CLIENT)
        .map(|writer| {
            let store = stores[writer % CLIENTS].clone();
            tokio::spawn(write_until_told(store, Arc::clone(&seen), writer as u64))
        })
        .collect();
    stores[0].now().await.unwrap();
    let mut events = stores[0].events();
    for _ in 0..KILLS {
        let millis = 100 + SystemRandom.below(500);
        tokio::time::sleep(Duration::from_millis(millis)).await;
        kill(store_process);
        store_process = start_store(dir.path());
        let comes_back = async { while events.recv().await != Some(Event::Reconnected) {} };
        tokio::time::timeout(Duration::from_secs(30), comes_back).await.unwrap();
    }
    seen.stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    kill(store_process);
    let store_process = start_store(dir.path());
    let count = check(&stores[0], &acknowledged).await;
    kill(store_process);
    let unknown = seen.unknown.load(Ordering::SeqCst);
    println!("{count} acknowledged and found, {unknown} unknown, {KILLS} kills");
    assert!(
        count > 100,
        "only {count} writes were acknowledged: the test did not try much"
    );
    assert_eq!(unknown, 0, "the store was away for much less than a call may take");
}

async fn background_by_cid(store: &Store) -> BTreeMap<String, u64> {
    let mut count_by_cid: BTreeMap<String, u64> = BTreeMap::new();
    let mut after = None;
    loop {
        let calls = store.background(None, after, 5_000).await.unwrap();
        let Some(last) = calls.last() else {
            return count_by_cid;
        };
        after = Some(last.id);
        for call in calls {
            *count_by_cid.entry(call.cid).or_default() += 1;
        }
    }
}

async fn check(store: &Store, acknowledged: &Path) -> usize {
    let mut changes_by_actor: BTreeMap<String, u64> = BTreeMap::new();
    let mut after = None;
    loop {
        let entries = store.audit(after, 5_000).await.unwrap();
        let Some(last) = entries.last() else { break };
        after = Some(last.id);
        for entry in entries {
            *changes_by_actor.entry(entry.actor).or_default() += 1;
        }
    }
    for (actor, changes) in &changes_by_actor {
        assert_eq!(*changes, 2, "operation {actor} was not done once and whole");
    }
    let shared = ObjectKey::new("sample", "shared".parse().unwrap());
    let shared = store.object(&shared).await.unwrap().unwrap();
    assert_eq!(shared.version, changes_by_actor.len() as u64);
    let background = background_by_cid(store).await;
    let mut count = 0;
    for line in BufReader::new(File::open(acknowledged).unwrap()).lines() {
        let line = line.unwrap();
        let (id, kind) = line.split_once(' ').unwrap();
        count += 1;
        if kind == "background" {
            assert_eq!(
                background.get(id),
                Some(&1),
                "background call {id} was acknowledged and is not there once"
            );
        } else if kind == "run" {
            let runs = store.runs(&format!("job-{id}"), None, 10).await.unwrap();
            assert_eq!(runs.len(), 1, "run of operation {id}");
        } else {
            assert!(
                changes_by_actor.contains_key(id),
                "operation {id} was acknowledged and is lost"
            );
        }
    }
    count
}
