//! How the server is, and telling the cluster so once a second.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tenon_control::Health;
use tenon_model::{InstanceId, Member, MemberState, ObjectKey, Revision, Role, Timestamp};
use tenon_protocol::control::{HealthCheck, HealthReport};
use tenon_store::Store;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::manifests_folder::FirstLook;
use crate::services::Services;
use crate::snapshot::SnapshotCell;

const BEAT_EVERY: Duration = Duration::from_secs(1);
/// Without a heartbeat that arrived for so long, the others count this server as dead, so it takes no work either.
const BEAT_LOST_AFTER: Duration = Duration::from_secs(5);

/// Why a server is not ready that could be.
const SET_ASIDE: &str = "set aside by an operator";

/// Whether a server's reason for not being ready is that an operator has set it aside, and nothing else.
pub fn is_set_aside(reason: &str) -> bool {
    reason.starts_with(&format!("draining: {SET_ASIDE}")) && !reason.contains("; ")
}

/// Who a component is and where it can be reached; does not change while it runs.
#[derive(Debug, Clone)]
pub struct Presence {
    /// The component's name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// This life of its process.
    pub instance: InstanceId,
    /// The version of its binary.
    pub version: String,
    /// Where clients or the load balancer reach it over TCP.
    pub address: Option<String>,
    /// The Unix socket of its data plane.
    pub data_socket: Option<String>,
    /// Where its control address is.
    pub control_address: Option<String>,
    /// When its process started.
    pub started_at: Timestamp,
}

impl Presence {
    /// The component as a member, in this state.
    pub fn member(&self, state: MemberState, reason: String) -> Member {
        Member {
            name: self.name.clone(),
            role: self.role,
            instance: self.instance.clone(),
            pid: std::process::id(),
            state,
            reason,
            version: self.version.clone(),
            address: self.address.clone(),
            data_socket: self.data_socket.clone(),
            control_address: self.control_address.clone(),
            started_at: self.started_at,
            memory_bytes: resident_bytes(),
            revision: Revision(0),
            deployment: 0,
            seen_at: Timestamp::default(),
        }
    }
}

/// Resident memory of this process; 0 where the system does not say.
fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok())
        .unwrap_or(0)
        * PAGE_BYTES
}

/// The conditions under which a server takes work.
#[derive(Debug)]
pub(crate) struct ServerHealth {
    presence: Presence,
    snapshot: Arc<SnapshotCell>,
    services: Services,
    revision: watch::Receiver<Option<Revision>>,
    first_look: watch::Receiver<FirstLook>,
    /// Whether the first look has been in force: what comes later is a change like any other.
    has_manifests: AtomicBool,
    draining: CancellationToken,
    last_beat: Mutex<Option<Instant>>,
    /// The object in which operators say how servers are to be treated.
    balancer: ObjectKey,
}

impl ServerHealth {
    /// A server that is starting.
    pub(crate) fn new(
        presence: Presence,
        snapshot: Arc<SnapshotCell>,
        services: Services,
        revision: watch::Receiver<Option<Revision>>,
        first_look: watch::Receiver<FirstLook>,
    ) -> Arc<Self> {
        Arc::new(Self {
            presence,
            snapshot,
            services,
            revision,
            first_look,
            has_manifests: AtomicBool::new(false),
            draining: CancellationToken::new(),
            last_beat: Mutex::default(),
            balancer: ObjectKey::new("balancer", "main".parse().expect("it is a name")),
        })
    }

    /// From now on the server finishes what it has and takes nothing new.
    pub(crate) fn drain(&self) {
        self.draining.cancel();
    }

    /// Whether the server finishes what it has and takes nothing new.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// The revision in force, for those who wait for it; none before the first.
    pub(crate) fn revisions(&self) -> watch::Receiver<Option<Revision>> {
        self.revision.clone()
    }

    /// Waits until the server takes nothing new.
    pub(crate) async fn drains(&self) {
        self.draining.cancelled().await;
    }

    /// Whether objects and services were loaded once: from then on the server can serve, with or without the store.
    pub(crate) fn is_loaded(&self) -> bool {
        self.revision.borrow().is_some() && self.services.status().loaded
    }

    /// Whether objects are loaded, those of `manifests/` among them: from then on what is not there does not exist.
    pub(crate) fn knows_objects(&self) -> bool {
        let Some(revision) = *self.revision.borrow() else {
            return false;
        };
        if self.has_manifests.load(Ordering::Relaxed) {
            return true;
        }
        let is_in_force = self.first_look.borrow().is_in_force(revision);
        self.has_manifests.fetch_or(is_in_force, Ordering::Relaxed);
        is_in_force
    }

    /// Whether the server knows what there is, so that it can answer for the cluster. Services that can't be loaded are known
    /// too: how else could another deployment take their place.
    pub(crate) fn knows_cluster(&self) -> bool {
        self.revision.borrow().is_some() && self.services.status().settled
    }

    /// Waits until objects and services are loaded.
    pub(crate) async fn loaded(&self) {
        let mut revision = self.revision.clone();
        let mut services = self.services.changes();
        while !self.is_loaded() {
            // The senders live as long as this.
            tokio::select! {
                Ok(()) = revision.changed() => {}
                Ok(()) = services.changed() => {}
            }
        }
    }

    /// Whether the server takes work.
    pub(crate) fn is_ready(&self) -> bool {
        self.checks().iter().all(|check| check.ok)
    }

    /// Whether the server takes work, and what keeps it from it.
    pub(crate) fn condition(&self) -> (bool, String) {
        let failed: Vec<String> = self
            .checks()
            .into_iter()
            .filter(|check| !check.ok)
            .map(|check| format!("{}: {}", check.name, check.detail))
            .collect();
        (failed.is_empty(), failed.join("; "))
    }

    /// Calls that are not answered yet.
    fn in_flight(&self) -> u64 {
        let running: usize = self.services.workers().iter().map(|worker| worker.in_flight).sum();
        (running + self.services.status().queued) as u64
    }

    /// Sends heartbeats until told to stop: once a second, and at once when something changed.
    pub(crate) async fn beat(self: Arc<Self>, store: Store, stop: CancellationToken) {
        let mut revision = self.revision.clone();
        let mut services = self.services.changes();
        let mut first_look = self.first_look.clone();
        let mut told_draining = false;
        loop {
            match store.heartbeat(self.member()).await {
                Ok(_) => self.beat_arrived(),
                Err(error) => tracing::warn!(%error, "the heartbeat did not reach the store"),
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(BEAT_EVERY) => {}
                Ok(()) = revision.changed() => {}
                Ok(()) = services.changed() => {}
                Ok(()) = first_look.changed() => {}
                () = self.drains(), if !told_draining => told_draining = true,
            }
        }
    }

    /// The last heartbeat of a server that ends by itself.
    pub(crate) async fn say_goodbye(&self, store: &Store) {
        let member = self.presence.member(MemberState::Stopped, String::new());
        if let Err(error) = store.heartbeat(member).await {
            tracing::debug!(%error, "the store was not told that the server stops");
        }
    }

    fn member(&self) -> Member {
        let (ready, reason) = self.condition();
        let state = match () {
            () if self.is_draining() || self.set_aside().is_some() => MemberState::Draining,
            () if ready => MemberState::Ready,
            () if !self.is_loaded() => MemberState::Starting,
            () => MemberState::NotReady,
        };
        Member {
            revision: self.snapshot.load().revision,
            deployment: self.services.status().deployment,
            ..self.presence.member(state, reason)
        }
    }

    fn beat_arrived(&self) {
        *self.last_beat.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn checks(&self) -> Vec<HealthCheck> {
        let services = self.services.status();
        let check = |name: &str, ok: bool, detail: String| HealthCheck {
            name: name.to_owned(),
            ok,
            detail,
        };
        let last_beat = *self.last_beat.lock().unwrap_or_else(PoisonError::into_inner);
        let store_ok = last_beat.is_none_or(|beat| beat.elapsed() < BEAT_LOST_AFTER);
        let revision = *self.revision.borrow();
        vec![
            check("objects", revision.is_some(), self.objects_detail(revision)),
            self.manifests_check(),
            check("services", services.ready, services.detail),
            check(
                "store",
                store_ok,
                if store_ok {
                    String::new()
                } else {
                    "no heartbeat reached it for 5 s".to_owned()
                },
            ),
            self.draining(),
        ]
    }

    /// Whether the server is about to end, or an operator has set it aside.
    fn draining(&self) -> HealthCheck {
        let detail = if self.is_draining() {
            Some("it stops".to_owned())
        } else {
            self.set_aside().map(|state| format!("{SET_ASIDE} ({state})"))
        };
        HealthCheck {
            name: "draining".to_owned(),
            ok: detail.is_none(),
            detail: detail.unwrap_or_default(),
        }
    }

    /// What an operator says of this server, if that is not that it is in. It is said where load balancers of ours look too,
    /// so that the server gets no new work whoever gives it.
    fn set_aside(&self) -> Option<String> {
        let snapshot = self.snapshot.load();
        let servers = snapshot.object(&self.balancer)?.body.get("servers")?.as_array()?;
        let entry = servers.iter().find(|entry| entry["name"] == self.presence.name)?;
        let state = entry["state"].as_str().filter(|state| *state != "in")?;
        Some(state.to_owned())
    }
}

impl ServerHealth {
    fn manifests_check(&self) -> HealthCheck {
        let ok = self.knows_objects();
        let detail = if ok { "" } else { "being applied for the first time" };
        HealthCheck {
            name: "manifests".to_owned(),
            ok,
            detail: detail.to_owned(),
        }
    }

    /// Objects that can't be used do not keep a server from serving the others; here they are told.
    fn objects_detail(&self, revision: Option<Revision>) -> String {
        let Some(revision) = revision else {
            return "loading".to_owned();
        };
        let snapshot = self.snapshot.load();
        let unused: Vec<String> = snapshot
            .problems
            .iter()
            .map(|(key, problem)| format!("{key} is not used: {problem}"))
            .collect();
        if unused.is_empty() {
            format!("revision {revision}")
        } else {
            unused.join("; ")
        }
    }
}

impl Health for ServerHealth {
    fn report(&self) -> HealthReport {
        let checks = self.checks();
        HealthReport {
            name: self.presence.name.clone(),
            role: self.presence.role,
            ready: checks.iter().all(|check| check.ok),
            version: self.presence.version.clone(),
            pid: std::process::id(),
            in_flight: self.in_flight(),
            checks,
        }
    }
}

/// Waits until every live server serves this revision; false if that takes longer than `timeout`.
pub(crate) async fn wait_for_revision(store: &Store, revision: Revision, timeout: Duration) -> bool {
    let deadline = Instant::now() + timeout;
    let mut events = store.events();
    loop {
        if let Ok(members) = store.members().await {
            let mut live = members.iter().filter(|member| {
                member.role == Role::Server && !matches!(member.state, MemberState::Dead | MemberState::Stopped)
            });
            if live.all(|member| member.revision >= revision) {
                return true;
            }
        }
        let waited = tokio::time::timeout_at(deadline, async {
            tokio::select! {
                _ = events.recv() => {}
                () = tokio::time::sleep(Duration::from_millis(25)) => {}
            }
        });
        if waited.await.is_err() {
            return false;
        }
    }
}
