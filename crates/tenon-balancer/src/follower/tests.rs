//! The follower against a script of answers.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tenon_model::{InstanceId, Timestamp};

use super::*;

/// A cluster of which each question gives the next answer; `None` is one that can't be reached.
#[derive(Default)]
struct Script {
    replies: Mutex<std::collections::VecDeque<Option<MembersReply>>>,
    asked: AtomicUsize,
}

#[async_trait]
impl MemberSource for Script {
    async fn members(&self, _: Option<u64>) -> Result<MembersReply, SourceError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let next = self.replies.lock().unwrap().pop_front();
        match next {
            Some(reply) => reply.ok_or_else(|| "no server is up".into()),
            None => std::future::pending().await,
        }
    }
}

fn member(name: &str, role: Role, state: MemberState) -> Member {
    Member {
        name: name.into(),
        role,
        instance: InstanceId::from_text("i"),
        pid: 1,
        state,
        reason: String::new(),
        version: "1".into(),
        address: Some("127.0.0.1:17010".into()),
        data_socket: Some("/nonexistent/data.sock".into()),
        control_address: None,
        started_at: Timestamp::default(),
        memory_bytes: 0,
        revision: tenon_model::Revision::default(),
        deployment: 0,
        seen_at: Timestamp::default(),
    }
}

#[tokio::test]
async fn the_servers_known_last_are_kept_for_a_start_without_any() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("members.json");
    let source = Arc::new(Script::default());
    source.replies.lock().unwrap().extend([
        None,
        Some(MembersReply {
            cursor: 1,
            members: vec![
                member("server2", Role::Server, MemberState::Draining),
                member("server1", Role::Server, MemberState::Ready),
                member("dashboard", Role::Dashboard, MemberState::Ready),
            ],
        }),
    ]);
    let settings = Settings::default();
    let (follower, mut list) = Follower::new(
        &settings,
        Arc::clone(&source) as Arc<dyn MemberSource>,
        path.clone(),
        directory.path().to_owned(),
    );
    assert!(list.borrow().servers.is_empty());
    let stop = CancellationToken::new();
    let running = tokio::spawn(follower.run(stop.clone()));
    list.changed().await.unwrap();
    let servers = list.borrow_and_update().servers.clone();
    let seen: Vec<_> = servers
        .iter()
        .map(|server| (server.name.as_str(), server.state))
        .collect();
    assert_eq!(
        seen,
        [("server1", ServerState::Ready), ("server2", ServerState::Draining)]
    );
    assert_eq!(
        servers[0].endpoint,
        Endpoint::Tls {
            address: "127.0.0.1:17010".into(),
            name: "server1.tenon.internal".into()
        },
        "there is no such socket of this environment"
    );
    stop.cancel();
    running.await.unwrap();
    assert!(source.asked.load(Ordering::SeqCst) >= 2);

    let (_follower, list) = Follower::new(&settings, source, path.clone(), directory.path().to_owned());
    assert_eq!(list.borrow().servers.len(), 2);
    assert!(
        list.borrow()
            .servers
            .iter()
            .all(|server| server.state == ServerState::Ready),
        "old states are not believed"
    );

    std::fs::write(&path, "{ broken").unwrap();
    let (_follower, list) = Follower::new(
        &settings,
        Arc::new(Script::default()),
        path,
        directory.path().to_owned(),
    );
    assert!(list.borrow().servers.is_empty());
}
