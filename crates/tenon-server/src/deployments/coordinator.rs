//! One deployment of a group at a time: tried, written, prepared by all, committed.

use std::collections::BTreeSet;
use std::future::Future;

use tenon_model::{MemberState, Role};
use tenon_protocol::control::{DeploymentState, DeploymentSummary, RefusedFile};
use tenon_store::{Lease, NewDeployment, Preparation, PreparationState, StoreError};
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::admission::{Task, clashes, configure, probe_without_clashes};
use super::canary::{end_by_hand, refuse_beside_canary};
use super::files::FileSet;
use super::group::{is_group_name, path_in_folder};
use super::probe::{Probed, drop_candidate};
use super::{DeployError, DeploymentChange, Inner};

/// The lease of the server that makes a deployment live, of whichever group.
const COMMIT_LEASE: &str = "deployment-commit";

/// How long to wait between two looks at what no event tells.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) async fn deploy(inner: &Inner, change: DeploymentChange) -> Result<DeploymentSummary, DeployError> {
    let group = change.group.clone();
    if !is_group_name(&group) {
        return Err(DeployError::Invalid(format!(
            "'{group}' can't be the name of a worker group: letters, digits, '-' and '_', 60 at most"
        )));
    }
    FileSet::from(change.files.clone()).check(&inner.settings)?;
    let work = Box::pin(async {
        refuse_beside_canary(inner, &change.group).await?;
        let (live, base) = inner.live_files(&change.group).await?;
        let mut wanted = if change.replace {
            FileSet::default()
        } else {
            base.clone()
        };
        change.files.into_iter().for_each(|file| wanted.insert(file));
        for path in change.remove {
            if base.get(&path).is_none() {
                let group = &change.group;
                return Err(DeployError::Invalid(format!(
                    "'{path}' is no file of deployment {live} of group {group}"
                )));
            }
            wanted.remove(&path);
        }
        let task = Task {
            group: &change.group,
            live,
            base: &base,
            source: &change.source,
            again: change.again,
            canary: change.canary,
        };
        deploy_set(inner, &task, wanted).await
    });
    coordinate(inner, &group, work).await
}

pub(crate) async fn roll_back(inner: &Inner, number: u64, user: &str) -> Result<DeploymentSummary, DeployError> {
    let record = inner
        .store
        .deployment(number)
        .await?
        .ok_or(DeployError::NotFound(number))?;
    match record.state {
        DeploymentState::Canary => return end_by_hand(inner, number, false, &format!("rolled back by {user}")).await,
        DeploymentState::Refused | DeploymentState::Preparing | DeploymentState::RolledBack => {
            return Err(DeployError::Invalid(format!("deployment {number} has never been live")));
        }
        DeploymentState::Live | DeploymentState::Superseded => {}
    }
    let work = Box::pin(async {
        refuse_beside_canary(inner, &record.group).await?;
        let wanted = FileSet::from(inner.store.deployment_files(number).await?);
        let (live, base) = inner.live_files(&record.group).await?;
        let task = Task {
            group: &record.group,
            live,
            base: &base,
            source: &format!("roll-back to {number}"),
            again: false,
            canary: None,
        };
        deploy_set(inner, &task, wanted).await
    });
    coordinate(inner, &record.group, work).await
}

async fn deploy_set(inner: &Inner, task: &Task<'_>, wanted: FileSet) -> Result<DeploymentSummary, DeployError> {
    let Task { group, live, base, .. } = *task;
    wanted.check(&inner.settings)?;
    if wanted == *base && live != 0 && !task.again {
        return summary(inner, live).await;
    }
    let (wanted, mut refused) = configure(inner, task, wanted).await?;
    let probed = probe_without_clashes(inner, task, wanted, &mut refused).await?;
    for file in &refused {
        let path = path_in_folder(group, &file.path);
        tracing::error!(%group, path = %path, "'{path}' is refused: {}\n{}", file.error, file.traceback);
    }
    let Probed {
        files,
        services,
        candidate,
        ..
    } = probed;
    let changes_nothing = files == *base && !task.again && (live != 0 || !refused.is_empty());
    let state = if changes_nothing {
        DeploymentState::Refused
    } else {
        DeploymentState::Preparing
    };
    // A canary needs services that run, and some to compare them with.
    let before = inner.store.live_deployment(group).await?;
    let is_comparable = !services.is_empty() && before.is_some_and(|before| !before.services.is_empty());
    let new = NewDeployment {
        group: group.to_owned(),
        source: task.source.to_owned(),
        files: files.to_vec(),
        refused,
        canary: task.canary.filter(|_| is_comparable),
        services,
    };
    // The follower may see the deployment before this function goes on: the worker must be there for it.
    match candidate {
        Some(candidate) if !changes_nothing => inner.keep_candidate(group, candidate),
        unused => drop_candidate(unused),
    }
    let number = inner.store.begin_deployment(new, state).await?;
    if !changes_nothing {
        inner.wake_follower.notify_one();
        finish(inner, number, group).await?;
    }
    summary(inner, number).await
}

pub(crate) async fn summary(inner: &Inner, number: u64) -> Result<DeploymentSummary, DeployError> {
    let record = inner.store.deployment(number).await?;
    record
        .map(|record| record.summary())
        .ok_or(DeployError::NotFound(number))
}

/// Waits for the servers, commits, and waits until they serve. Gives the deployment up if none of them can run it.
async fn finish(inner: &Inner, number: u64, group: &str) -> Result<(), DeployError> {
    let deadline = Instant::now() + inner.settings.prepare_timeout.0;
    let all = wait_for_servers(inner, number, deadline, |_| true).await?;
    let errors: Vec<_> = all
        .iter()
        .filter(|server| server.state == PreparationState::Failed)
        .map(|server| format!("{}: {}", server.server, server.error))
        .collect();
    if all.is_empty() || errors.len() == all.len() {
        let why = if errors.is_empty() {
            "not all servers prepared it in time".to_owned()
        } else {
            errors.join("; ")
        };
        return give_up(inner, number, why).await;
    }
    commit(inner, number, group).await?;
    inner.wake_follower.notify_one();
    let deadline = Instant::now() + inner.settings.serve_timeout.0;
    let serves = |server: &Preparation| server.state != PreparationState::Prepared;
    if wait_for_servers(inner, number, deadline, serves).await?.is_empty() {
        tracing::warn!(
            deployment = number,
            "not all servers say that they serve deployment {number}"
        );
    }
    Ok(())
}

async fn give_up(inner: &Inner, number: u64, why: String) -> Result<(), DeployError> {
    let error = DeployError::Failed(format!("deployment {number} was given up: {why}"));
    let refused = RefusedFile {
        path: String::new(),
        error: why,
        traceback: String::new(),
        kept_previous: true,
    };
    inner.store.refuse_deployment(number, vec![refused]).await?;
    Err(error)
}

/// Makes a deployment live, or a canary, unless another group has taken a name of its services meanwhile. Groups do this one by one.
async fn commit(inner: &Inner, number: u64, group: &str) -> Result<(), DeployError> {
    let lease = wait_for_lease(inner, COMMIT_LEASE).await?;
    let committed = async {
        let record = inner.store.deployment(number).await?;
        let is_canary = record.as_ref().is_some_and(|record| record.canary.is_some());
        let services = record.map(|record| record.services).unwrap_or_default();
        match clashes(inner, group, &services).await?.into_iter().next() {
            Some((path, why)) => give_up(inner, number, format!("{path}: {why}")).await,
            None if is_canary => Ok(inner.store.begin_canary(number).await?),
            None => Ok(inner.store.commit_deployment(number).await?),
        }
    };
    let committed = committed.await;
    give_back(inner, &lease).await;
    committed
}

/// Waits until each live server has said something of the deployment that `done` accepts. Nothing if that takes too long.
async fn wait_for_servers(
    inner: &Inner,
    number: u64,
    deadline: Instant,
    done: impl Fn(&Preparation) -> bool,
) -> Result<Vec<Preparation>, StoreError> {
    let mut events = inner.store.events();
    loop {
        let said = inner.store.preparations(number).await?;
        let mut servers: Vec<_> = inner
            .store
            .members()
            .await?
            .into_iter()
            .filter(|member| {
                member.role == Role::Server && matches!(member.state, MemberState::Ready | MemberState::NotReady)
            })
            .map(|member| (member.name, member.instance))
            .filter(|(name, _)| *name != inner.server)
            .collect();
        servers.push((inner.server.clone(), inner.instance.clone()));
        let is_done = |(name, instance): &(String, tenon_model::InstanceId)| {
            said.iter()
                .any(|server| server.server == *name && server.instance == *instance && done(server))
        };
        if servers.iter().all(is_done) {
            return Ok(said);
        }
        if Instant::now() >= deadline {
            return Ok(Vec::new());
        }
        let _ = tokio::time::timeout(LOOK, events.recv()).await;
    }
}

/// Runs one deployment of a group under the group's lease, which is kept alive meanwhile.
async fn coordinate<T>(
    inner: &Inner,
    group: &str,
    work: impl Future<Output = Result<T, DeployError>>,
) -> Result<T, DeployError> {
    let alone = inner.coordinating(group);
    let _alone = alone.lock().await;
    let lease = wait_for_lease(inner, &lease_name(group)).await?;
    let result = tokio::select! {
        result = async {
            finish_orphans(inner, group).await?;
            work.await
        } => result,
        error = keep_lease(inner, &lease) => Err(error),
    };
    // A worker that nobody took belongs to a deployment that failed.
    if result.is_err() {
        drop_candidate(inner.take_candidate(group));
    }
    give_back(inner, &lease).await;
    result
}

fn lease_name(group: &str) -> String {
    format!("deployment-coordinator:{group}")
}

async fn give_back(inner: &Inner, lease: &Lease) {
    if let Err(error) = inner.store.release_lease(lease).await {
        tracing::debug!(%error, "the lease of the deployment was not given back and will run out");
    }
}

async fn wait_for_lease(inner: &Inner, name: &str) -> Result<Lease, DeployError> {
    let deadline = Instant::now() + inner.settings.coordinator_wait.0;
    loop {
        let acquired = inner.store.acquire_lease(name, &inner.instance, ttl_ms(inner)).await?;
        if let Some(lease) = acquired {
            return Ok(lease);
        }
        if Instant::now() >= deadline {
            return Err(DeployError::Busy(format!(
                "no end of it after {:?}",
                inner.settings.coordinator_wait.0
            )));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn ttl_ms(inner: &Inner) -> u64 {
    u64::try_from(inner.settings.lease_ttl.0.as_millis()).unwrap_or(u64::MAX)
}

/// Ends only when the lease is lost.
async fn keep_lease(inner: &Inner, lease: &Lease) -> DeployError {
    let mut heard = Instant::now();
    loop {
        tokio::time::sleep(inner.settings.lease_ttl.0 / 4).await;
        match inner.store.renew_lease(lease, ttl_ms(inner)).await {
            Ok(Some(_)) => heard = Instant::now(),
            Ok(None) => return DeployError::Busy("another server took over".to_owned()),
            Err(error) if heard.elapsed() >= inner.settings.lease_ttl.0 => return error.into(),
            Err(_) => {}
        }
    }
}

/// Ends what a coordinator that died has begun: commits it if it can be, otherwise gives it up.
async fn finish_orphans(inner: &Inner, group: &str) -> Result<(), DeployError> {
    let newest = inner.store.deployments(Some(group), None, 20).await?;
    for orphan in newest.into_iter().filter(|one| one.state == DeploymentState::Preparing) {
        tracing::info!(
            deployment = orphan.number,
            "deployment {} was left unfinished and is taken over",
            orphan.number
        );
        inner.wake_follower.notify_one();
        match finish(inner, orphan.number, group).await {
            Ok(()) => {}
            Err(DeployError::Store(StoreError::Conflict(why))) => {
                tracing::info!(deployment = orphan.number, "it is given up: {why}");
                let refused = RefusedFile {
                    path: String::new(),
                    error: why,
                    traceback: String::new(),
                    kept_previous: true,
                };
                inner.store.refuse_deployment(orphan.number, vec![refused]).await?;
            }
            Err(DeployError::Failed(why)) => tracing::warn!(deployment = orphan.number, "{why}"),
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// Looks now and then whether a coordinator died in the middle of its work.
pub(crate) async fn look_after_orphans(inner: &Inner, stop: &CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(inner.settings.look_every.0) => {}
        }
        let look = async {
            let newest = inner.store.deployments(None, None, 20).await?;
            let preparing = newest.iter().filter(|one| one.state == DeploymentState::Preparing);
            let groups: BTreeSet<&str> = preparing.map(|one| one.group.as_str()).collect();
            for group in groups {
                if inner.coordinating(group).try_lock().is_err() {
                    continue;
                }
                // Somebody who is at work renews the lease; who can get it finds an orphan.
                match inner.store.lease(&lease_name(group)).await? {
                    Some(lease) if lease.expires_at > inner.store.now().await? => {}
                    _ => coordinate(inner, group, async { Ok(()) }).await?,
                }
            }
            Ok(())
        };
        let looked: Result<(), DeployError> = tokio::select! {
            () = stop.cancelled() => return,
            looked = look => looked,
        };
        if let Err(error) = looked {
            tracing::warn!(%error, "deployments that were left unfinished could not be looked after");
        }
    }
}
