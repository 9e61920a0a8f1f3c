//! What every server does: prepares what is being prepared, serves what was committed, drains what was before.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tenon_protocol::control::DeploymentState;
use tenon_store::{DEFAULT_GROUP, DeploymentRecord, Event, Preparation, PreparationState};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::files::FileSet;
use super::probe::{chain, remove_root};
use super::{DeployError, Inner, folder};
use crate::workers::{Pool, PoolParts};

/// Deployments that this server has prepared and that are not committed yet.
#[derive(Debug, Default)]
struct Prepared {
    pools: BTreeMap<u64, (Pool, PathBuf)>,
    /// Deployments that could not be prepared, which was reported.
    failed: BTreeMap<u64, String>,
    /// When the live deployment may be tried again.
    retry_at: Option<Instant>,
    roots: BTreeMap<u64, PathBuf>,
}

/// Runs until `stop`.
pub(crate) async fn follow(inner: &Arc<Inner>, stop: &CancellationToken) {
    let mut events = inner.store.events();
    let mut prepared = Prepared::default();
    loop {
        let step = async {
            if let Err(error) = reconcile(inner, &mut prepared).await {
                tracing::warn!("deployments could not be followed: {}", chain(&error));
                if !inner.registry.status().loaded {
                    inner
                        .registry
                        .set_problem(format!("the live deployment could not be loaded: {}", chain(&error)));
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
    for (pool, root) in std::mem::take(&mut prepared.pools).into_values() {
        pool.kill().await;
        remove_root(&root);
    }
}

async fn reconcile(inner: &Arc<Inner>, prepared: &mut Prepared) -> Result<(), DeployError> {
    let live = inner.store.live_deployment(DEFAULT_GROUP).await?;
    let live_number = live.as_ref().map_or(0, |live| live.number);
    let problem = match live {
        Some(live) if inner.registry.serving(DEFAULT_GROUP) != live_number => serve(inner, prepared, &live).await?,
        Some(_) => String::new(),
        None => first_import(inner).await?,
    };
    if problem.is_empty() {
        let status = inner.registry.status();
        // Nothing deployed is also a state to be ready in.
        if !status.loaded || !status.ready {
            inner.registry.set_problem(String::new());
        }
    } else {
        inner.registry.set_problem(problem);
    }
    let newest = inner.store.deployments(None, 20).await?;
    let preparing: Vec<u64> = newest
        .iter()
        .filter(|one| one.state == DeploymentState::Preparing && one.number > live_number && one.group == DEFAULT_GROUP)
        .map(|one| one.number)
        .collect();
    for number in preparing.iter().copied() {
        let is_known = prepared.pools.contains_key(&number) || prepared.failed.contains_key(&number);
        if !is_known && let Some(record) = inner.store.deployment(number).await? {
            prepare(inner, prepared, &record).await;
            let error = prepared.failed.get(&number).cloned();
            let state = if error.is_some() {
                PreparationState::Failed
            } else {
                PreparationState::Prepared
            };
            report(inner, number, state, error.unwrap_or_default()).await?;
        }
    }
    // Between the two looks at the store one of them may have been committed: it is served at the next look.
    let wanted: Vec<u64> = newest
        .iter()
        .filter(|one| matches!(one.state, DeploymentState::Preparing | DeploymentState::Live))
        .map(|one| one.number)
        .collect();
    discard(inner, prepared, &wanted, live_number);
    Ok(())
}

/// A new cluster whose services folder has files is ready when these were imported, or refused, and not before.
async fn first_import(inner: &Inner) -> Result<String, DeployError> {
    let Some(dir) = &inner.services_dir else {
        return Ok(String::new());
    };
    let is_looked_at = !inner.store.folder_imports(&folder::key(dir)).await?.is_empty();
    let newest = inner.store.deployments(None, 1).await?;
    // The first one counts when it is decided, not while it is being prepared.
    let is_decided = newest.iter().any(|one| one.state != DeploymentState::Preparing);
    if is_looked_at || is_decided || (newest.is_empty() && folder::is_empty(dir).await) {
        return Ok(String::new());
    }
    Ok("the services folder is being imported for the first time".to_owned())
}

/// Starts the workers of a deployment.
async fn prepare(inner: &Arc<Inner>, prepared: &mut Prepared, record: &DeploymentRecord) {
    let number = record.number;
    match start(inner, record).await {
        Ok((pool, root)) => {
            prepared.failed.remove(&number);
            prepared.pools.insert(number, (pool, root));
        }
        Err(error) => {
            let error = chain(&error);
            tracing::error!(deployment = number, "deployment {number} can't be prepared: {error}");
            prepared.failed.insert(number, error);
        }
    }
}

async fn start(inner: &Arc<Inner>, record: &DeploymentRecord) -> Result<(Pool, PathBuf), DeployError> {
    let files = FileSet::from(inner.store.deployment_files(record.number).await?);
    let first = inner
        .take_candidate()
        .filter(|candidate| candidate.fingerprint == files.fingerprint());
    let named = inner.deployments_dir.join(record.number.to_string());
    let (root, first) = if let Some(candidate) = first {
        // The worker knows its files by the name they had; the number is a second name for people.
        let _ = std::os::unix::fs::symlink(&candidate.root, &named);
        (candidate.root, Some(candidate.worker))
    } else {
        files.write(&named, &files)?;
        (named, None)
    };
    let parts = PoolParts {
        deployment: record.number,
        spec: inner.spec(root.clone()),
        settings: inner.worker_settings().await.clone(),
        host: inner.host.clone(),
    };
    match Pool::start(parts, first).await {
        Ok(pool) => Ok((pool, root)),
        Err(error) => {
            remove_root(&root);
            let output = error.output();
            let text = if output.is_empty() {
                chain(&error)
            } else {
                format!("{}\n{output}", chain(&error))
            };
            Err(DeployError::Failed(text))
        }
    }
}

/// Flips to the live deployment, preparing it first if that was missed. Says why if it can't be served.
async fn serve(inner: &Arc<Inner>, prepared: &mut Prepared, live: &DeploymentRecord) -> Result<String, DeployError> {
    let number = live.number;
    let failed_before = prepared.failed.get(&number).cloned();
    let must_wait = prepared.retry_at.is_some_and(|at| Instant::now() < at);
    let is_prepared = prepared.pools.contains_key(&number);
    if !is_prepared && (failed_before.is_none() || !must_wait) {
        prepare(inner, prepared, live).await;
        prepared.retry_at = Some(Instant::now() + inner.settings.look_every.0);
    }
    let Some((pool, root)) = prepared.pools.remove(&number) else {
        let error = prepared.failed.get(&number).cloned().unwrap_or_default();
        // Each report wakes all servers, this one too: the same is not said twice.
        if failed_before.as_ref() != Some(&error) {
            report(inner, number, PreparationState::Failed, error.clone()).await?;
        }
        return Ok(format!("deployment {number} can't be run here: {error}"));
    };
    let services = pool.services().len();
    let before = inner.registry.flip(DEFAULT_GROUP, pool);
    tracing::info!(deployment = number, "deployment {number} serves {services} services");
    let old_root = prepared.roots.remove(&before.as_ref().map_or(0, Pool::deployment));
    prepared.roots.insert(number, root);
    if let Some(before) = before {
        let inner = inner.clone();
        inner.tasks.clone().spawn(async move {
            before.drain().await;
            inner.registry.forget(before.deployment());
            if let Some(root) = old_root {
                remove_root(&root);
                let _ = std::fs::remove_file(inner.deployments_dir.join(before.deployment().to_string()));
            }
        });
    }
    report(inner, number, PreparationState::Serving, String::new()).await?;
    Ok(String::new())
}

/// Ends the workers of deployments that were given up.
fn discard(inner: &Arc<Inner>, prepared: &mut Prepared, wanted: &[u64], live: u64) {
    prepared
        .failed
        .retain(|number, _| *number == live || wanted.contains(number));
    let gone: Vec<u64> = prepared
        .pools
        .keys()
        .copied()
        .filter(|number| !wanted.contains(number))
        .collect();
    for number in gone {
        if let Some((pool, root)) = prepared.pools.remove(&number) {
            tracing::info!(deployment = number, "deployment {number} was given up");
            inner.tasks.spawn(async move {
                pool.kill().await;
                remove_root(&root);
            });
        }
    }
}

async fn report(inner: &Inner, number: u64, state: PreparationState, error: String) -> Result<(), DeployError> {
    let preparation = Preparation {
        server: inner.server.clone(),
        instance: inner.instance.clone(),
        state,
        error,
    };
    Ok(inner.store.report_preparation(number, preparation).await?)
}
