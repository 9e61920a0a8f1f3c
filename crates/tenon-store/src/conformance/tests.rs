//! The behaviours, tried on SQLite directly and over the socket.

use std::sync::Arc;

use tempfile::TempDir;
use tenon_model::{ManualClock, SystemRandom};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{BEHAVIOURS, START, Subject, failures, settings};
use crate::{ClientSettings, Engine, SocketSettings, SqliteEngine, Store, StoreServer};

/// What a subject leaves behind when it is gone.
#[derive(Debug)]
struct Kept {
    _dir: TempDir,
    _stop: Option<DropGuard>,
}

fn sqlite() -> (TempDir, Arc<ManualClock>, Arc<dyn Engine>) {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START));
    let engine = SqliteEngine::open(dir.path(), settings(), Arc::<ManualClock>::clone(&clock)).unwrap();
    (dir, clock, Arc::new(engine))
}

async fn direct() -> Subject {
    let (dir, clock, engine) = sqlite();
    Subject {
        store: Store::new(Arc::clone(&engine), Arc::new(SystemRandom)),
        engine,
        clock,
        keep: Arc::new(Kept { _dir: dir, _stop: None }),
    }
}

async fn over_the_socket() -> Subject {
    let (dir, clock, engine) = sqlite();
    let socket = dir.path().join("store.sock");
    let server = StoreServer::bind(&socket, SocketSettings::default(), Arc::clone(&engine)).unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(server.run(stop.clone()));
    let store = Store::connect(
        &socket,
        ClientSettings::default(),
        "test",
        super::instance("test"),
        Arc::new(SystemRandom),
    );
    // Events are told to who is connected; the behaviours begin to listen at once.
    store.connected().wait_for(|connected| *connected).await.unwrap();
    let stop = Some(stop.drop_guard());
    Subject {
        store,
        engine,
        clock,
        keep: Arc::new(Kept { _dir: dir, _stop: stop }),
    }
}

#[tokio::test]
async fn sqlite_behaves() {
    assert_eq!(failures(direct).await, Vec::<&str>::new());
}

#[tokio::test]
async fn sqlite_over_the_socket_behaves() {
    assert_eq!(failures(over_the_socket).await, Vec::<&str>::new());
}

#[test]
fn behaviours_have_names_of_their_own() {
    let names: std::collections::BTreeSet<_> = BEHAVIOURS.iter().map(|behaviour| behaviour.name).collect();
    assert_eq!(names.len(), BEHAVIOURS.len());
}
