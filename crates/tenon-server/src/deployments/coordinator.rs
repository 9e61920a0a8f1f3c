//! One deployment at a time: tried, written, prepared by all, committed.

use std::future::Future;

use tenon_model::{MemberState, Role};
use tenon_protocol::control::{DeploymentState, DeploymentSummary, RefusedFile};
use tenon_store::{DEFAULT_GROUP, DeploymentFile, Lease, NewDeployment, Preparation, PreparationState, StoreError};
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::files::FileSet;
use super::probe::{Probed, probe, remove_root};
use super::{DeployError, Inner};

/// The lease of the server that deploys.
const LEASE: &str = "deployment-coordinator";

/// How long to wait between two looks at what no event tells.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) async fn deploy(
    inner: &Inner,
    files: Vec<DeploymentFile>,
    remove: Vec<String>,
    source: &str,
) -> Result<DeploymentSummary, DeployError> {
    FileSet::from(files.clone()).check(&inner.settings)?;
    let work = Box::pin(async {
        let (live, base) = inner.live_files().await?;
        let mut wanted = base.clone();
        for file in files {
            wanted.insert(file);
        }
        for path in remove {
            if base.get(&path).is_none() {
                return Err(DeployError::Invalid(format!(
                    "'{path}' is no file of deployment {live}"
                )));
            }
            wanted.remove(&path);
        }
        deploy_set(inner, live, &base, wanted, source).await
    });
    coordinate(inner, work).await
}

pub(crate) async fn roll_back(inner: &Inner, number: u64) -> Result<DeploymentSummary, DeployError> {
    let work = Box::pin(async {
        let record = inner
            .store
            .deployment(number)
            .await?
            .ok_or(DeployError::NotFound(number))?;
        if record.state == DeploymentState::Refused || record.state == DeploymentState::Preparing {
            return Err(DeployError::Invalid(format!("deployment {number} has never been live")));
        }
        let wanted = FileSet::from(inner.store.deployment_files(number).await?);
        let (live, base) = inner.live_files().await?;
        deploy_set(inner, live, &base, wanted, &format!("roll-back to {number}")).await
    });
    coordinate(inner, work).await
}

async fn deploy_set(
    inner: &Inner,
    live: u64,
    base: &FileSet,
    wanted: FileSet,
    source: &str,
) -> Result<DeploymentSummary, DeployError> {
    wanted.check(&inner.settings)?;
    if wanted == *base && live != 0 {
        return summary(inner, live).await;
    }
    let probed = probe(inner, base, wanted).await?;
    for file in &probed.refused {
        tracing::error!(path = %file.path, "'{}' is refused: {}\n{}", file.path, file.error, file.traceback);
    }
    let Probed {
        files,
        refused,
        services,
        candidate,
    } = probed;
    let changes_nothing = files == *base && (live != 0 || !refused.is_empty());
    let state = if changes_nothing {
        DeploymentState::Refused
    } else {
        DeploymentState::Preparing
    };
    let new = NewDeployment {
        group: DEFAULT_GROUP.to_owned(),
        source: source.to_owned(),
        files: files.to_vec(),
        refused,
        services,
    };
    // The follower may see the deployment before this function goes on: the worker must be there for it.
    match candidate {
        Some(candidate) if !changes_nothing => inner.keep_candidate(candidate),
        Some(candidate) => remove_root(&candidate.root),
        None => {}
    }
    let number = inner.store.begin_deployment(new, state).await?;
    if !changes_nothing {
        inner.wake_follower.notify_one();
        finish(inner, number).await?;
    }
    summary(inner, number).await
}

async fn summary(inner: &Inner, number: u64) -> Result<DeploymentSummary, DeployError> {
    let record = inner.store.deployment(number).await?;
    record
        .map(|record| record.summary())
        .ok_or(DeployError::NotFound(number))
}

/// Waits for the servers, commits, and waits until they serve. Gives the deployment up if none of them can run it.
async fn finish(inner: &Inner, number: u64) -> Result<(), DeployError> {
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
        let refused = RefusedFile {
            path: String::new(),
            error: why.clone(),
            traceback: String::new(),
            kept_previous: true,
        };
        inner.store.refuse_deployment(number, vec![refused]).await?;
        return Err(DeployError::Failed(format!("deployment {number} was given up: {why}")));
    }
    inner.store.commit_deployment(number).await?;
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

/// Runs one deployment under the lease, which is kept alive meanwhile.
async fn coordinate<T>(inner: &Inner, work: impl Future<Output = Result<T, DeployError>>) -> Result<T, DeployError> {
    let _alone = inner.coordinating.lock().await;
    let lease = wait_for_lease(inner).await?;
    let result = tokio::select! {
        result = async {
            finish_orphans(inner).await?;
            work.await
        } => result,
        error = keep_lease(inner, &lease) => Err(error),
    };
    // A worker that nobody took belongs to a deployment that failed.
    if result.is_err()
        && let Some(candidate) = inner.take_candidate()
    {
        remove_root(&candidate.root);
    }
    if let Err(error) = inner.store.release_lease(&lease).await {
        tracing::debug!(%error, "the lease of the deployment was not given back and will run out");
    }
    result
}

async fn wait_for_lease(inner: &Inner) -> Result<Lease, DeployError> {
    let deadline = Instant::now() + inner.settings.coordinator_wait.0;
    loop {
        if let Some(lease) = acquire(inner).await? {
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

async fn acquire(inner: &Inner) -> Result<Option<Lease>, StoreError> {
    inner.store.acquire_lease(LEASE, &inner.instance, ttl_ms(inner)).await
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
async fn finish_orphans(inner: &Inner) -> Result<(), DeployError> {
    let newest = inner.store.deployments(None, 20).await?;
    for orphan in newest.into_iter().filter(|one| one.state == DeploymentState::Preparing) {
        tracing::info!(
            deployment = orphan.number,
            "deployment {} was left unfinished and is taken over",
            orphan.number
        );
        inner.wake_follower.notify_one();
        match finish(inner, orphan.number).await {
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
            let newest = inner.store.deployments(None, 20).await?;
            if newest.iter().all(|one| one.state != DeploymentState::Preparing)
                || inner.coordinating.try_lock().is_err()
            {
                return Ok(());
            }
            // Somebody who is at work renews the lease; who can get it finds an orphan.
            match inner.store.lease(LEASE).await? {
                Some(lease) if lease.expires_at > inner.store.now().await? => Ok(()),
                _ => coordinate(inner, async { Ok(()) }).await,
            }
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
