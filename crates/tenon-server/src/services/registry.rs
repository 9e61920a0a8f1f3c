//! Which pool serves which service.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use tenon_protocol::control::ServiceSummary;
use tokio::sync::watch;

use super::ServicesStatus;
use crate::workers::{Pool, ServiceEntry, WorkerStatus};

/// The deployments that serve, and those that finish what they began.
#[derive(Debug)]
pub(crate) struct Registry {
    live: ArcSwap<Live>,
    /// Pools that drain, by deployment: calls of theirs may invoke services of the same deployment.
    older: Mutex<BTreeMap<u64, Pool>>,
    health: Mutex<Health>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Live {
    groups: BTreeMap<String, Pool>,
    by_name: HashMap<String, (Pool, Arc<ServiceEntry>)>,
}

#[derive(Debug, Default)]
struct Health {
    loaded: bool,
    /// Why the server does not serve what it should; empty if it does.
    problem: String,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            live: ArcSwap::from_pointee(Live::default()),
            older: Mutex::default(),
            health: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }
}

impl Registry {
    /// The service of this name, in the deployment that the call belongs to if that still runs.
    pub(crate) fn find(&self, name: &str, deployment: Option<u64>) -> Option<(Pool, Arc<ServiceEntry>)> {
        let live = self.live.load();
        let found = live.by_name.get(name);
        if let Some(pinned) = deployment
            && found.is_none_or(|(pool, _)| pool.deployment() != pinned)
            && let Some(pool) = lock(&self.older).get(&pinned)
            && let Some(service) = pool.service(name)
        {
            return Some((pool.clone(), service.clone()));
        }
        found.cloned()
    }

    /// Makes a pool the one of its group, for all calls that begin from now on. Gives back the one that was.
    pub(crate) fn flip(&self, group: &str, pool: Pool) -> Option<Pool> {
        let mut groups = self.live.load().groups.clone();
        let before = groups.insert(group.to_owned(), pool);
        if let Some(before) = &before {
            lock(&self.older).insert(before.deployment(), before.clone());
        }
        let by_name = groups
            .values()
            .flat_map(|pool| {
                pool.services()
                    .iter()
                    .map(|service| (service.name.clone(), (pool.clone(), service.clone())))
            })
            .collect();
        self.live.store(Arc::new(Live { groups, by_name }));
        self.set_problem(String::new());
        before
    }

    /// Forgets a deployment that has drained.
    pub(crate) fn forget(&self, deployment: u64) {
        lock(&self.older).remove(&deployment);
    }

    /// Notes that the server serves what it should, or why it does not.
    pub(crate) fn set_problem(&self, problem: String) {
        let mut health = lock(&self.health);
        health.loaded |= problem.is_empty();
        health.problem = problem;
        drop(health);
        self.changes.send_modify(|version| *version += 1);
    }

    /// The number of the deployment that serves a group; 0 for none.
    pub(crate) fn serving(&self, group: &str) -> u64 {
        self.live.load().groups.get(group).map_or(0, Pool::deployment)
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn status(&self) -> ServicesStatus {
        let live = self.live.load();
        let (loaded, problem) = {
            let health = lock(&self.health);
            (health.loaded, health.problem.clone())
        };
        let deployment = live.groups.values().map(Pool::deployment).max().unwrap_or(0);
        let idle_group = live.groups.iter().find(|(_, pool)| pool.ready_workers() == 0);
        let detail = match (loaded, idle_group) {
            _ if !problem.is_empty() => problem.clone(),
            (false, _) => "the live deployment is being loaded".to_owned(),
            (true, Some((group, _))) => format!("no worker of group {group} is up"),
            (true, None) if deployment == 0 => "nothing is deployed yet".to_owned(),
            (true, None) => format!("deployment {deployment}"),
        };
        ServicesStatus {
            loaded,
            settled: loaded || !problem.is_empty(),
            ready: loaded && problem.is_empty() && idle_group.is_none(),
            detail,
            deployment,
            queued: live.groups.values().map(Pool::queued).sum(),
        }
    }

    pub(crate) fn list(&self) -> Vec<ServiceSummary> {
        let live = self.live.load();
        let mut all: Vec<_> = live
            .groups
            .iter()
            .flat_map(|(group, pool)| pool.services().iter().map(move |service| summary(group, pool, service)))
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    pub(crate) fn workers(&self) -> Vec<WorkerStatus> {
        self.pools().iter().flat_map(Pool::status).collect()
    }

    /// The pools that serve, and those that drain.
    pub(crate) fn pools(&self) -> Vec<Pool> {
        let mut pools = self.live.load().groups.values().cloned().collect::<Vec<_>>();
        pools.extend(lock(&self.older).values().cloned());
        pools
    }

    /// Finishes what runs, and ends all workers.
    pub(crate) async fn drain_all(&self) {
        join_all(self.pools().iter().map(Pool::drain)).await;
    }
}

fn summary(group: &str, pool: &Pool, service: &ServiceEntry) -> ServiceSummary {
    let mut doc = service.doc.clone();
    if let Some(reason) = service.quarantine() {
        doc = format!("Quarantined: {reason}\n\n{doc}");
    }
    ServiceSummary {
        name: service.name.clone(),
        file: service.file.clone(),
        doc,
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
