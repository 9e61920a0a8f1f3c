//! One worker group on this server: prepares what is being prepared, serves what was committed, drains what was before.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tenon_store::{DeploymentRecord, Preparation, PreparationState};
use tokio::sync::watch;
use tokio::time::Instant;

use super::environments::Environment;
use super::files::FileSet;
use super::group::has_code;
use super::probe::{chain, drop_candidate, remove_root};
use super::{DeployError, Inner, Setup};
use crate::services::Canary;
use crate::workers::{Pool, PoolParts, ReadyWorker};

/// What the store says of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The deployment that should serve; 0 for none.
    pub(crate) live: u64,
    /// The one that should have a share of its calls.
    pub(crate) canary: Option<u64>,
    /// Later ones that are being prepared.
    pub(crate) preparing: Vec<u64>,
}

/// A deployment that runs here.
#[derive(Debug)]
struct Running {
    /// None if it has nothing to run.
    pool: Option<Pool>,
    root: PathBuf,
    /// Its packages, which stay as long as it does.
    environment: Option<Arc<Environment>>,
}

/// What this server has of a group.
#[derive(Debug, Default)]
struct Prepared {
    /// Deployments that are prepared and not committed yet.
    running: BTreeMap<u64, Running>,
    /// Deployments that could not be prepared, which was reported.
    failed: BTreeMap<u64, String>,
    /// When a deployment that serves may be tried again.
    retry_at: Option<Instant>,
    /// The canary that has its share, and what it needs besides its pool.
    canary: Option<(u64, PathBuf, Option<Arc<Environment>>)>,
    /// What the one that serves needs besides its pool.
    serving: Option<(PathBuf, Option<Arc<Environment>>)>,
}

/// Runs until nobody tells what the store says any more.
pub(crate) async fn follow_group(inner: Arc<Inner>, group: String, mut seen: watch::Receiver<Seen>) {
    let mut prepared = Prepared::default();
    loop {
        let now = seen.borrow_and_update().clone();
        if let Err(error) = reconcile(&inner, &group, &mut prepared, &now).await {
            tracing::warn!(%group, "deployments could not be followed: {}", chain(&error));
        }
        if seen.changed().await.is_err() {
            break;
        }
    }
    for running in prepared.running.into_values() {
        end(running).await;
    }
}

async fn end(running: Running) {
    if let Some(pool) = running.pool {
        pool.kill().await;
    }
    remove_root(&running.root);
}

async fn reconcile(inner: &Arc<Inner>, group: &str, prepared: &mut Prepared, now: &Seen) -> Result<(), DeployError> {
    if prepared
        .canary
        .as_ref()
        .is_some_and(|(number, ..)| Some(*number) != now.canary && *number != now.live)
    {
        end_canary(inner, group, prepared);
    }
    if now.live != 0 {
        let problem = if inner.registry.serving(group) == now.live {
            String::new()
        } else {
            match inner.store.deployment(now.live).await? {
                Some(live) => serve(inner, prepared, &live).await?,
                None => return Ok(()),
            }
        };
        inner.registry.set_problem(group, problem);
    }
    if let Some(number) = now.canary
        && prepared.canary.is_none()
        && inner.registry.serving(group) == now.live
        && let Some(record) = inner.store.deployment(number).await?
    {
        begin_canary(inner, prepared, &record).await?;
    }
    for number in now.preparing.iter().copied() {
        let is_known = prepared.running.contains_key(&number) || prepared.failed.contains_key(&number);
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
    discard(inner, prepared, now);
    Ok(())
}

/// Starts the workers of a deployment.
async fn prepare(inner: &Arc<Inner>, prepared: &mut Prepared, record: &DeploymentRecord) {
    let number = record.number;
    match start(inner, record).await {
        Ok(running) => {
            prepared.failed.remove(&number);
            prepared.running.insert(number, running);
        }
        Err(error) => {
            let error = chain(&error);
            tracing::error!(deployment = number, "deployment {number} can't be prepared: {error}");
            prepared.failed.insert(number, error);
        }
    }
}

async fn start(inner: &Arc<Inner>, record: &DeploymentRecord) -> Result<Running, DeployError> {
    let files = FileSet::from(inner.store.deployment_files(record.number).await?);
    let fingerprint = files.fingerprint();
    let first = match inner.take_candidate(&record.group) {
        Some(candidate) if candidate.fingerprint == fingerprint => Some(candidate),
        unusable => {
            drop_candidate(unusable);
            None
        }
    };
    let named = inner.deployments_dir.join(record.number.to_string());
    if !has_code(&files) {
        return Ok(Running {
            pool: None,
            root: named,
            environment: None,
        });
    }
    // Its packages stay until the pool holds them too.
    let (root, first, environment) = if let Some(candidate) = first {
        // The worker knows its files by the name they had; the number is a second name for people.
        let _ = std::os::unix::fs::symlink(&candidate.root, &named);
        (candidate.root, Some(candidate.worker), candidate.environment)
    } else {
        inner.write(&files, &named, &files).await?;
        (named, None, None)
    };
    let started = start_pool(inner, record, &files, root.clone(), first).await;
    drop(environment);
    if started.is_err() {
        remove_root(&root);
    }
    started
}

async fn start_pool(
    inner: &Arc<Inner>,
    record: &DeploymentRecord,
    files: &FileSet,
    root: PathBuf,
    first: Option<ReadyWorker>,
) -> Result<Running, DeployError> {
    let Setup {
        spec,
        settings,
        environment,
    } = inner.setup(&record.group, files, root.clone(), record.number).await?;
    let parts = PoolParts {
        deployment: record.number,
        spec,
        settings,
        host: inner.host.clone(),
    };
    let pool = Pool::start(parts, first).await.map_err(|error| {
        let (said, output) = (chain(&error), error.output());
        let separator = if output.is_empty() { "" } else { "\n" };
        DeployError::Failed(format!("{said}{separator}{output}"))
    })?;
    Ok(Running {
        pool: Some(pool),
        root,
        environment,
    })
}

/// What was prepared of a deployment that serves, preparing it first if that was missed. Why not, if it can't be run here.
async fn prepared_or_why(
    inner: &Arc<Inner>,
    prepared: &mut Prepared,
    record: &DeploymentRecord,
) -> Result<Result<Running, String>, DeployError> {
    let number = record.number;
    let failed_before = prepared.failed.get(&number).cloned();
    let must_wait = prepared.retry_at.is_some_and(|at| Instant::now() < at);
    let is_prepared = prepared.running.contains_key(&number);
    if !is_prepared && (failed_before.is_none() || !must_wait) {
        prepare(inner, prepared, record).await;
        prepared.retry_at = Some(Instant::now() + inner.settings.look_every.0);
    }
    if let Some(running) = prepared.running.remove(&number) {
        return Ok(Ok(running));
    }
    let error = prepared.failed.get(&number).cloned().unwrap_or_default();
    // Each report wakes all servers, this one too: the same is not said twice.
    if failed_before.as_ref() != Some(&error) {
        report(inner, number, PreparationState::Failed, error.clone()).await?;
    }
    Ok(Err(error))
}

/// Lets a canary have its share, preparing it first if that was missed.
async fn begin_canary(
    inner: &Arc<Inner>,
    prepared: &mut Prepared,
    record: &DeploymentRecord,
) -> Result<(), DeployError> {
    let (number, group) = (record.number, record.group.as_str());
    let Some(terms) = record.canary else { return Ok(()) };
    let Ok(running) = prepared_or_why(inner, prepared, record).await? else {
        return Ok(());
    };
    let Some(pool) = running.pool else { return Ok(()) };
    let canary = Canary {
        deployment: number,
        pool,
        share_percent: terms.share_percent,
        tally: Arc::default(),
    };
    inner.registry.begin_canary(group, canary);
    tracing::info!(
        %group,
        deployment = number,
        "deployment {number} is a canary and gets {} % of the calls",
        terms.share_percent
    );
    prepared.canary = Some((number, running.root, running.environment));
    report(inner, number, PreparationState::Serving, String::new()).await
}

/// Gives the share of a canary that was rolled back to the live deployment, and drains it.
fn end_canary(inner: &Arc<Inner>, group: &str, prepared: &mut Prepared) {
    let before = inner.registry.end_canary(group);
    if let (Some(before), Some((number, root, environment))) = (before, prepared.canary.take()) {
        tracing::info!(%group, deployment = number, "deployment {number} gets no more calls");
        inner.tasks.spawn(drain(inner.clone(), before, root, environment));
    }
}

/// What runs a canary that was promoted.
fn promoted(inner: &Inner, group: &str, prepared: &mut Prepared, number: u64) -> Option<Running> {
    let (_, root, environment) = prepared.canary.take_if(|(canary, ..)| *canary == number)?;
    let (canary, _) = inner.registry.canaries().remove(group)?;
    Some(Running {
        pool: Some(canary.pool),
        root,
        environment,
    })
}

/// Flips to the live deployment, preparing it first if that was missed. Says why if it can't be served.
async fn serve(inner: &Arc<Inner>, prepared: &mut Prepared, live: &DeploymentRecord) -> Result<String, DeployError> {
    let (number, group) = (live.number, live.group.as_str());
    let running = match promoted(inner, group, prepared, number) {
        Some(running) => running,
        None => match prepared_or_why(inner, prepared, live).await? {
            Ok(running) => running,
            Err(error) => return Ok(format!("deployment {number} can't be run here: {error}")),
        },
    };
    let services = running.pool.as_ref().map_or(0, |pool| pool.services().len());
    let before = inner.registry.flip(group, number, running.pool);
    tracing::info!(%group, deployment = number, "deployment {number} serves {services} services");
    let needed = prepared.serving.replace((running.root, running.environment));
    if let (Some(before), Some((root, environment))) = (before, needed) {
        inner.tasks.spawn(drain(inner.clone(), before, root, environment));
    }
    report(inner, number, PreparationState::Serving, String::new()).await?;
    Ok(String::new())
}

/// Ends the workers of a deployment that was replaced, once no call holds it, and removes what only they needed.
async fn drain(inner: Arc<Inner>, before: Pool, root: PathBuf, environment: Option<Arc<Environment>>) {
    inner.registry.released(&before, before.drain_timeout()).await;
    before.drain().await;
    inner.registry.forget(&before);
    remove_root(&root);
    let _ = std::fs::remove_file(inner.deployments_dir.join(before.deployment().to_string()));
    if environment.is_some() {
        drop(environment);
        inner.environments.sweep().await;
    }
}

/// Ends the workers of deployments that were given up.
fn discard(inner: &Arc<Inner>, prepared: &mut Prepared, now: &Seen) {
    let is_wanted = |number: u64| number == now.live || now.canary == Some(number) || now.preparing.contains(&number);
    prepared.failed.retain(|number, _| is_wanted(*number));
    // One that was committed just now is no longer being prepared, and later than what was live at the look.
    let gone: Vec<u64> = prepared
        .running
        .keys()
        .copied()
        .filter(|number| !is_wanted(*number))
        .collect();
    for number in gone {
        if let Some(running) = prepared.running.remove(&number) {
            tracing::info!(deployment = number, "deployment {number} was given up");
            inner.tasks.spawn(end(running));
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
