//! A snapshot that follows changes is the same as one built of all objects; and building one lets the runtime go on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use base64::Engine as _;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use tenon_connectors::{ChannelBinding, Connector, ConnectorError};
use tenon_model::{Catalog, Kind, ObjectName, SystemClock, SystemRandom, Timestamp};
use tenon_store::{ObjectChange, Store};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::objects::ObjectFollower;
use crate::rate_limits::Meters;
use crate::secrets::{Resolver, Secrets};
use crate::security::ClusterKey;

/// How long a runtime that goes on may take to show it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A store in a folder of its own, and what a server knows beside it.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) secrets: Secrets,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::sqlite_in(&dir.path().join("data"), Arc::new(SystemClock), Arc::new(SystemRandom)).unwrap();
        let key = dir.path().join("key");
        std::fs::write(&key, base64::engine::general_purpose::STANDARD.encode([1; 32])).unwrap();
        let kinds = [tenon_connectors::kinds(), tenon_scheduler::kinds(), crate::kinds()];
        let secrets = Secrets {
            environment: Arc::new(HashMap::new()),
            key: Arc::new(ClusterKey::load(&key).unwrap()),
            random: Arc::new(SystemRandom),
        };
        Self {
            dir,
            store,
            catalog: Arc::new(Catalog::new(kinds.into_iter().flatten())),
            secrets,
        }
    }

    fn builder(&self, connectors: Vec<Box<dyn Connector>>) -> SnapshotBuilder {
        SnapshotBuilder {
            catalog: Arc::clone(&self.catalog),
            connectors,
            connector_settings: Arc::default(),
            random: Arc::new(SystemRandom),
            clock: Arc::new(SystemClock),
            meters: Arc::new(Meters::new(self.store.clone(), Arc::new(SystemClock))),
            routes: 1.into(),
        }
    }
}

/// A connector whose channels take until the runtime has done something else meanwhile.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attentive(Arc<Runtime>);

#[derive(Debug, Default)]
struct Runtime {
    beats: Mutex<u64>,
    beat: Condvar,
    stood_still: AtomicBool,
    channels: AtomicUsize,
}

impl Attentive {
    /// Does work on the runtime beside a task that shows that the runtime goes on. Says whether it always did.
    pub(crate) async fn beside<T>(&self, work: impl Future<Output = T>) -> (T, bool) {
        let runtime = Arc::clone(&self.0);
        let beating = tokio::spawn(async move {
            loop {
                *runtime.beats.lock().unwrap() += 1;
                runtime.beat.notify_all();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let done = work.await;
        beating.abort();
        assert!(self.0.channels.load(Ordering::SeqCst) > 0, "no channel was looked at");
        (done, !self.0.stood_still.load(Ordering::SeqCst))
    }
}

impl Connector for Attentive {
    fn kinds(&self) -> Vec<Kind> {
        Vec::new()
    }

    fn channel(&self, kind: &str, _: &ObjectName, _: &Value) -> Option<Result<ChannelBinding, ConnectorError>> {
        if kind != "rest-channel" {
            return None;
        }
        self.0.channels.fetch_add(1, Ordering::SeqCst);
        let beats = self.0.beats.lock().unwrap();
        let before = *beats;
        let is_silent = |beats: &mut u64| *beats == before && !self.0.stood_still.load(Ordering::SeqCst);
        let (_beats, waited) = self.0.beat.wait_timeout_while(beats, PATIENCE, is_silent).unwrap();
        if waited.timed_out() {
            self.0.stood_still.store(true, Ordering::SeqCst);
        }
        Some(Ok(ChannelBinding::Off))
    }
}

/// A channel as somebody writes it.
pub(crate) fn channel(path: &str) -> Value {
    json!({ "path": path, "service": "a.service" })
}

#[tokio::test]
async fn requests_go_on_while_a_snapshot_is_built() {
    let world = World::new();
    let changes = (0..5).map(|number| ObjectChange::Put {
        key: ObjectKey::new("rest-channel", format!("c{number}").parse().unwrap()),
        body: channel(&format!("/{number}")),
        manifest: None,
        if_version: None,
    });
    let written = world.store.write_objects(changes.collect(), "test").await.unwrap();
    let attentive = Attentive::default();
    let revision = watch::Sender::new(None);
    let mut revisions = revision.subscribe();
    let follower = ObjectFollower {
        store: world.store.clone(),
        builder: Arc::new(world.builder(vec![Box::new(attentive.clone())])),
        cell: Arc::default(),
        secrets: world.secrets.clone(),
        revision,
    };
    let stop = CancellationToken::new();
    let following = tokio::spawn(follower.run(stop.clone()));
    let wait = revisions.wait_for(|revision| revision.is_some_and(|revision| revision >= written.revision));
    let (reached, went_on) = attentive.beside(async { wait.await.is_ok() }).await;
    assert!(reached && went_on, "the runtime stood still while a snapshot was built");
    stop.cancel();
    following.await.unwrap();
}

/// What is written under a name; none removes it.
fn body(kind: &'static str) -> BoxedStrategy<Option<Value>> {
    let bodies = match kind {
        "rest-channel" => vec![
            channel("/a"),
            channel("/b/{x}"),
            channel("/b/{y}"),
            json!({"path": "/a", "service": "s", "method": "GET"}),
            json!({"path": "/b/{x}", "service": "s", "method": "GET", "security": ["k0"]}),
            json!({"path": "/a", "service": "s", "enabled": false}),
            json!({"path": "/a", "service": "${MISSING}"}),
            json!({"path": "no slash", "service": "s"}),
        ],
        "rest-outgoing" => vec![
            json!({"url": "http://127.0.0.1:1/a"}),
            json!({"url": "http://127.0.0.1:1/b", "security": "k0"}),
            json!({"url": "${MISSING}"}),
            json!({"url": "no address"}),
        ],
        "api-key" => vec![
            json!({"key": "one"}),
            json!({"key": "two"}),
            json!({"key": "secret:missing"}),
        ],
        _ => vec![json!({"service": "s", "every": "1h"})],
    };
    prop::option::weighted(0.75, prop::sample::select(bodies)).boxed()
}

type Writes = Vec<(&'static str, usize, Option<Value>)>;

/// One write of the store: several objects at once. Few names, so that they meet; seldom security, which builds all anew.
fn writes() -> impl Strategy<Value = Writes> {
    let kind = prop_oneof![
        6 => Just("rest-channel"),
        3 => Just("rest-outgoing"),
        1 => Just("api-key"),
        1 => Just("job"),
    ];
    let write = kind.prop_flat_map(|kind| (Just(kind), 0..4_usize, body(kind)));
    prop::collection::vec(write, 1..4)
}

/// The objects as the store would have them, and what it says has changed.
fn write(all: &mut BTreeMap<ObjectKey, Object>, writes: &Writes, revision: Revision) -> ObjectChanges {
    let (mut changed, mut removed) = (BTreeMap::new(), Vec::new());
    for (kind, number, body) in writes {
        let name = if *kind == "api-key" { "k" } else { "n" };
        let key = ObjectKey::new(*kind, format!("{name}{number}").parse().unwrap());
        changed.remove(&key);
        removed.retain(|gone| *gone != key);
        let Some(body) = body.clone() else {
            all.remove(&key);
            removed.push(key);
            continue;
        };
        let object = Object {
            kind: key.kind.clone(),
            name: key.name.clone(),
            body,
            version: all.get(&key).map_or(0, |object| object.version) + 1,
            revision,
            manifest: None,
            updated_at: Timestamp::from_millis(0),
        };
        all.insert(key.clone(), object.clone());
        changed.insert(key, object);
    }
    ObjectChanges::Some {
        changed: changed.into_values().collect(),
        removed,
        secrets: false,
    }
}

/// All that a snapshot says, in an order of its own.
fn told(snapshot: &Snapshot) -> Vec<String> {
    let mut told: Vec<String> = snapshot.objects().map(|object| format!("{object:?}")).collect();
    let mut others: Vec<String> = snapshot
        .problems
        .iter()
        .map(|problem| format!("{problem:?}"))
        .chain(
            snapshot
                .router
                .iter()
                .map(|route| format!("{} {:?}", route.key, route.http)),
        )
        .chain(
            snapshot
                .router
                .shadowed()
                .iter()
                .map(|route| format!("shadowed {}", route.key)),
        )
        .chain(snapshot.outgoing.iter().map(|(id, connection)| {
            let (body, credentials) = &*connection.definition;
            format!("{id:?} {body} {} {}", credentials.len(), connection.live.is_ok())
        }))
        .collect();
    others.sort();
    told.append(&mut others);
    told
}

fn check(builder: &SnapshotBuilder, resolver: &Resolver, history: &[Writes]) -> Result<(), TestCaseError> {
    let mut all = BTreeMap::new();
    let nothing = Snapshot::empty();
    let mut followed = builder.build(Revision(0), ObjectChanges::All(Vec::new()), resolver, &nothing);
    for (index, writes) in history.iter().enumerate() {
        let revision = Revision(index as u64 + 1);
        let changes = write(&mut all, writes, revision);
        followed = builder.build(revision, changes, resolver, &followed);
        let everything = ObjectChanges::All(all.values().cloned().collect());
        let whole = builder.build(revision, everything, resolver, &nothing);
        prop_assert_eq!(told(&followed), told(&whole));
    }
    Ok(())
}

#[tokio::test]
async fn a_snapshot_of_changes_is_the_same_as_one_of_all_objects() {
    let world = World::new();
    let builder = world.builder(tenon_connectors::connectors());
    let resolver = world.secrets.resolver(&world.store).await.unwrap();
    let mut runner = TestRunner::new(Config::with_cases(100));
    let histories = prop::collection::vec(writes(), 1..12);
    runner
        .run(&histories, |history| check(&builder, &resolver, &history))
        .unwrap();
}
