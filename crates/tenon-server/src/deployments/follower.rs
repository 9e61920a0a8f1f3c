//! What every server does: looks what is live and what is being prepared, and has each worker group follow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tenon_protocol::control::{DeploymentState, DeploymentSummary};
use tenon_store::Event;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::group_follower::{Seen, follow_group};
use super::probe::chain;
use super::{DeployError, Inner, folder, lock};

/// How many of the newest deployments are looked at for those that are being prepared.
const NEWEST: u32 = 50;

/// Runs until `stop`.
pub(crate) async fn follow(inner: &Arc<Inner>, stop: &CancellationToken) {
    let mut events = inner.store.events();
    let mut groups = Groups::new(inner.clone());
    loop {
        let step = async {
            if let Err(error) = look(inner, &mut groups).await {
                tracing::warn!("deployments could not be followed: {}", chain(&error));
                if !inner.registry.status().loaded {
                    let problem = format!("the live deployment could not be loaded: {}", chain(&error));
                    inner.registry.set_server_problem(problem);
                }
            }
            loop {
                tokio::select! {
                    event = events.recv() => match event {
                        Some(Event::Deployments | Event::Reconnected) => return,
                        Some(_) => {}
                        None => std::future::pending().await,
                    },
                    () = inner.wake_follower.notified() => return,
                    () = tokio::time::sleep(inner.settings.look_every.0) => return,
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = step => {}
        }
    }
    groups.end().await;
}

/// The tasks that follow the groups, each by itself: one that waits for packages holds up no other.
struct Groups {
    inner: Arc<Inner>,
    seen: BTreeMap<String, watch::Sender<Seen>>,
    tasks: TaskTracker,
}

impl Groups {
    fn new(inner: Arc<Inner>) -> Self {
        Self {
            inner,
            seen: BTreeMap::new(),
            tasks: TaskTracker::new(),
        }
    }

    fn tell(&mut self, group: &str, now: Seen) {
        if let Some(seen) = self.seen.get(group) {
            // The same again is a look too: what failed may be tried anew.
            seen.send_replace(now);
            return;
        }
        let (sender, receiver) = watch::channel(now);
        self.seen.insert(group.to_owned(), sender);
        self.tasks
            .spawn(follow_group(self.inner.clone(), group.to_owned(), receiver));
    }

    /// Ends what was prepared and is not served.
    async fn end(mut self) {
        self.seen.clear();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn look(inner: &Arc<Inner>, groups: &mut Groups) -> Result<(), DeployError> {
    // In this order: what is committed between the two looks is served at the next one, and not given up by this one.
    let newest = inner.store.deployments(None, None, NEWEST).await?;
    let serving = inner.store.serving_deployments().await?;
    let (canaries, live): (Vec<_>, Vec<_>) = serving
        .into_iter()
        .partition(|one| one.state == DeploymentState::Canary);
    *lock(&inner.canaries) = canaries.iter().map(|one| (one.group.clone(), one.number)).collect();
    inner.registry.expect(live.iter().map(|one| one.group.as_str()));
    inner.registry.set_server_problem(first_import(inner, &newest).await?);
    let mut names: BTreeSet<&str> = live.iter().map(|one| one.group.as_str()).collect();
    let preparing = |one: &&DeploymentSummary| one.state == DeploymentState::Preparing;
    names.extend(newest.iter().filter(preparing).map(|one| one.group.as_str()));
    let known: Vec<String> = groups.seen.keys().cloned().collect();
    names.extend(known.iter().map(String::as_str));
    for name in names {
        let live = live.iter().find(|one| one.group == name).map_or(0, |one| one.number);
        let of_group = newest.iter().filter(|one| one.group == name && one.number > live);
        let canary = canaries.iter().find(|one| one.group == name);
        let now = Seen {
            live,
            canary: canary.map(|one| one.number),
            preparing: of_group.filter(preparing).map(|one| one.number).collect(),
        };
        groups.tell(name, now);
    }
    Ok(())
}

/// A new cluster whose services folder has files is ready when these were imported, or refused, and not before. Says what is
/// still to be done; empty if nothing is.
async fn first_import(inner: &Inner, newest: &[DeploymentSummary]) -> Result<String, DeployError> {
    let Some(dir) = &inner.services_dir else {
        return Ok(String::new());
    };
    if inner.is_imported.load(Ordering::Relaxed) {
        return Ok(String::new());
    }
    for group in folder::groups(dir).await {
        let is_looked_at = !inner.store.folder_imports(&folder::key(dir, &group)).await?.is_empty();
        // One that is being prepared is not decided.
        let is_decided = newest
            .iter()
            .any(|one| one.group == group && one.state != DeploymentState::Preparing);
        if !is_looked_at && !is_decided {
            return Ok("the services folder is being imported for the first time".to_owned());
        }
    }
    inner.is_imported.store(true, Ordering::Relaxed);
    Ok(String::new())
}
