//! Which pool serves which service.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use tenon_model::CorrelationId;
use tenon_protocol::control::ServiceSummary;
use tenon_store::DEFAULT_GROUP;
use tokio::sync::watch;
use tokio::time::{Duration, Instant};

use super::ServicesStatus;
use super::live::{Canary, DeploymentPin, GroupRoute, Live};
use crate::workers::{Pool, ServiceEntry, WorkerStatus};

/// How often to look whether a replaced deployment is still held.
const RELEASE_LOOK: Duration = Duration::from_millis(10);

/// The deployments that serve, and those that finish what they began.
#[derive(Debug)]
pub(crate) struct Registry {
    live: ArcSwap<Live>,
    /// What served before, as long as calls hold it.
    earlier: Mutex<Vec<Weak<Live>>>,
    /// Pools that drain.
    older: Mutex<Vec<Pool>>,
    health: Mutex<Health>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Health {
    /// Whether it is known which groups there are.
    known: bool,
    groups: BTreeMap<String, GroupHealth>,
    /// What is wrong with all of it; empty if nothing is.
    problem: String,
}

#[derive(Debug, Default)]
struct GroupHealth {
    loaded: bool,
    /// Why the server does not serve what it should; empty if it does.
    problem: String,
}

impl Health {
    fn loaded(&self) -> bool {
        self.known && self.groups.values().all(|group| group.loaded)
    }

    /// What is wrong, with the group in front unless there is only the default one.
    fn problem(&self) -> String {
        if !self.problem.is_empty() {
            return self.problem.clone();
        }
        let wrong = self.groups.iter().find(|(_, group)| !group.problem.is_empty());
        wrong.map_or_else(String::new, |(name, group)| match name.as_str() {
            DEFAULT_GROUP => group.problem.clone(),
            name => format!("group {name}: {}", group.problem),
        })
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            live: ArcSwap::from_pointee(Live::default()),
            earlier: Mutex::default(),
            older: Mutex::default(),
            health: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }
}

impl Registry {
    /// What serves now, for a call that begins.
    pub(crate) fn pin(&self, cid: &CorrelationId, service: &str) -> DeploymentPin {
        DeploymentPin::new(self.live.load_full(), cid, service)
    }

    /// What is known of a service: by the live deployment, or by a canary if only that has it.
    pub(crate) fn entry(&self, name: &str) -> Option<Arc<ServiceEntry>> {
        let live = self.live.load();
        let named = live.by_name.get(name)?;
        let canary = || named.canary.as_ref()?.1.as_ref();
        let (_, entry) = named.live.as_ref().or_else(canary)?;
        Some(entry.clone())
    }

    /// The deployment that all calls of a service go to; none while a canary gets some of them.
    pub(crate) fn only_deployment(&self, name: &str) -> Option<u64> {
        let live = self.live.load();
        let named = live.by_name.get(name)?;
        match (&named.live, &named.canary) {
            (Some((pool, _)), None) => Some(pool.deployment()),
            _ => None,
        }
    }

    /// Makes a deployment the one of its group, for all calls that begin from now on; without a pool the group has nothing to
    /// run. Gives back what ran before, which [`released`](Self::released) says when to end.
    pub(crate) fn flip(&self, group: &str, deployment: u64, pool: Option<Pool>) -> Option<Pool> {
        let before = self.change(|groups| {
            let before = groups.remove(group);
            let canary = before.as_ref().and_then(|route| route.canary.clone());
            let route = GroupRoute {
                deployment,
                pool,
                // One that is promoted is no canary any more.
                canary: canary.filter(|canary| canary.deployment != deployment),
            };
            groups.insert(group.to_owned(), route);
            before.and_then(|route| route.pool)
        });
        self.set_problem(group, String::new());
        before
    }

    /// Lets a canary have its share of the calls of its group, in which something has to be live.
    pub(crate) fn begin_canary(&self, group: &str, canary: Canary) {
        self.change(|groups| {
            if let Some(route) = groups.get_mut(group) {
                route.canary = Some(canary);
            }
            None
        });
    }

    /// Gives all calls of a group to its live deployment. Gives back what ran the canary, which
    /// [`released`](Self::released) says when to end.
    pub(crate) fn end_canary(&self, group: &str) -> Option<Pool> {
        self.change(|groups| {
            let canary = groups.get_mut(group)?.canary.take()?;
            Some(canary.pool)
        })
    }

    /// The canaries that have a share, by group, with what runs the live deployments.
    pub(crate) fn canaries(&self) -> BTreeMap<String, (Canary, Option<Pool>)> {
        let live = self.live.load();
        let canary = |(group, route): (&String, &GroupRoute)| {
            let canary = route.canary.clone()?;
            Some((group.clone(), (canary, route.pool.clone())))
        };
        live.groups.iter().filter_map(canary).collect()
    }

    /// Changes what serves; the pool that it gives back has to be drained.
    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, GroupRoute>) -> Option<Pool>) -> Option<Pool> {
        let mut earlier = lock(&self.earlier);
        let last = self.live.load_full();
        let mut groups = last.groups.clone();
        let before = change(&mut groups);
        lock(&self.older).extend(before.clone());
        self.live.store(Arc::new(Live::of(groups)));
        earlier.retain(|live| live.strong_count() > 0);
        earlier.push(Arc::downgrade(&last));
        before
    }

    /// Waits until no call holds a pool that was replaced, or the time is over.
    pub(crate) async fn released(&self, pool: &Pool, patience: Duration) {
        let deadline = Instant::now() + patience;
        let holds = |live: &Weak<Live>| {
            live.upgrade()
                .is_some_and(|live| live.pools().any(|other| other.is_same(pool)))
        };
        while lock(&self.earlier).iter().any(holds) && Instant::now() < deadline {
            tokio::time::sleep(RELEASE_LOOK).await;
        }
    }

    /// Forgets a pool that has ended.
    pub(crate) fn forget(&self, pool: &Pool) {
        lock(&self.older).retain(|other| !other.is_same(pool));
    }

    /// Notes which groups have a live deployment. The server is not ready before it serves those that were there when it
    /// started; those that come later were prepared before they became live.
    pub(crate) fn expect<'a>(&self, groups: impl Iterator<Item = &'a str>) {
        let mut health = lock(&self.health);
        let loaded = std::mem::replace(&mut health.known, true);
        for group in groups {
            let problem = String::new();
            health
                .groups
                .entry(group.to_owned())
                .or_insert(GroupHealth { loaded, problem });
        }
        drop(health);
        if !loaded {
            self.tell();
        }
    }

    /// Notes that the server serves what it should in a group, or why it does not.
    pub(crate) fn set_problem(&self, group: &str, problem: String) {
        let mut health = lock(&self.health);
        let group = health.groups.entry(group.to_owned()).or_default();
        if group.loaded && group.problem == problem {
            return;
        }
        group.loaded |= problem.is_empty();
        group.problem = problem;
        drop(health);
        self.tell();
    }

    /// Notes what keeps the whole server from serving; empty if nothing does.
    pub(crate) fn set_server_problem(&self, problem: String) {
        let mut health = lock(&self.health);
        if health.problem == problem {
            return;
        }
        health.problem = problem;
        drop(health);
        self.tell();
    }

    fn tell(&self) {
        self.changes.send_modify(|version| *version += 1);
    }

    /// The number of the deployment that serves a group; 0 for none.
    pub(crate) fn serving(&self, group: &str) -> u64 {
        self.live.load().groups.get(group).map_or(0, |route| route.deployment)
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn status(&self) -> ServicesStatus {
        let live = self.live.load();
        let (loaded, problem) = {
            let health = lock(&self.health);
            (health.loaded(), health.problem())
        };
        let pools = || {
            live.groups
                .iter()
                .filter_map(|(group, route)| Some((group, route.pool.as_ref()?)))
        };
        let deployment = live.groups.values().map(|route| route.deployment).max().unwrap_or(0);
        let idle_group = pools()
            .find(|(_, pool)| pool.ready_workers() == 0)
            .map(|(group, _)| group);
        let detail = match (loaded, idle_group) {
            _ if !problem.is_empty() => problem.clone(),
            (false, _) => "the live deployment is being loaded".to_owned(),
            (true, Some(group)) => format!("no worker of group {group} is up"),
            (true, None) if deployment == 0 => "nothing is deployed yet".to_owned(),
            (true, None) => serving_text(&live.groups),
        };
        ServicesStatus {
            loaded,
            settled: loaded || !problem.is_empty(),
            ready: loaded && problem.is_empty() && idle_group.is_none(),
            detail,
            deployment,
            queued: pools().map(|(_, pool)| pool.queued()).sum(),
        }
    }

    pub(crate) fn list(&self) -> Vec<ServiceSummary> {
        let live = self.live.load();
        let mut all: Vec<_> = live
            .groups
            .iter()
            .flat_map(|(group, route)| {
                let canary = route.canary.as_ref().map(|canary| &canary.pool);
                let pools = route.pool.iter().chain(canary);
                pools.flat_map(move |pool| pool.services().iter().map(move |service| summary(group, pool, service)))
            })
            .collect();
        // Of what both have, the live one's comes first and stays.
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all.dedup_by(|a, b| a.name == b.name);
        all
    }

    pub(crate) fn workers(&self) -> Vec<WorkerStatus> {
        self.pools().iter().flat_map(Pool::status).collect()
    }

    /// Finishes what runs, and ends all workers.
    pub(crate) async fn drain_all(&self) {
        join_all(self.pools().iter().map(Pool::drain)).await;
    }

    /// The pools that serve, and those that drain.
    pub(crate) fn pools(&self) -> Vec<Pool> {
        let live = self.live.load();
        let mut pools: Vec<_> = live.pools().cloned().collect();
        pools.extend(lock(&self.older).iter().cloned());
        pools
    }
}

fn serving_text(groups: &BTreeMap<String, GroupRoute>) -> String {
    let numbers: Vec<_> = groups.values().map(|route| route.deployment.to_string()).collect();
    match numbers.as_slice() {
        [number] => format!("deployment {number}"),
        numbers => format!("deployments {}", numbers.join(", ")),
    }
}

fn summary(group: &str, pool: &Pool, service: &ServiceEntry) -> ServiceSummary {
    ServiceSummary {
        name: service.name.clone(),
        file: service.file.clone(),
        doc: service.doc.clone(),
        quarantine: service.quarantine().map(str::to_owned),
        group: group.to_owned(),
        deployment: pool.deployment(),
        input: service.input.clone(),
        output: service.output.clone(),
        channels: Vec::new(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
