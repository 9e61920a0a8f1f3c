//! Canaries: what their calls say is added up, and decided by whichever server holds the group's lease.
//!
//! `decision.rs` says when a canary becomes live and when it is rolled back. What is counted, and where a call goes, is the
//! business of [`crate::services`]; the store keeps counts, the period and the decision, so that any server can go on.

mod decision;
mod settings;

use std::sync::Arc;

use tenon_protocol::control::{DeploymentState, DeploymentSummary};
use tenon_store::{CanaryCounts, StoreError};
use tokio::time::Duration;
use tokio_util::sync::CancellationToken;

pub use settings::{CanarySettings, WithFewCalls};

use super::coordinator::summary;
use super::{DeployError, Inner, lock};
use crate::services::Canary;
use crate::workers::Pool;
use decision::{Verdict, decide};

/// Reports what this server counted, and decides what is to be decided, until `stop`.
pub(crate) async fn watch(inner: &Arc<Inner>, stop: &CancellationToken) {
    loop {
        let step = async {
            tokio::time::sleep(inner.settings.canary.report_every.0).await;
            if let Err(error) = look(inner).await {
                tracing::warn!(%error, "canaries could not be looked after");
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = step => {}
        }
    }
}

async fn look(inner: &Inner) -> Result<(), StoreError> {
    for (canary, live) in inner.registry.canaries().into_values() {
        let counts = counts(inner, &canary, live.as_ref());
        let (number, store) = (canary.deployment, &inner.store);
        store
            .report_canary(number, &inner.server, &inner.instance, counts)
            .await?;
    }
    // Not those that run here: it may be that they can't, and are to be decided nevertheless.
    let undecided = lock(&inner.canaries).clone();
    for (group, number) in undecided {
        look_at(inner, &group, number).await?;
    }
    Ok(())
}

fn counts(inner: &Inner, canary: &Canary, live: Option<&Pool>) -> CanaryCounts {
    let broken = canary.pool.services().iter().find_map(|service| {
        let why = service.quarantine()?;
        let before = live.and_then(|pool| pool.service(&service.name));
        let is_new = before.is_none_or(|before| before.quarantine().is_none());
        is_new.then(|| {
            let (name, server) = (&service.name, &inner.server);
            format!("service '{name}' is quarantined on {server}: {why}")
        })
    });
    CanaryCounts {
        broken: broken.unwrap_or_default(),
        ..canary.tally.counts()
    }
}

/// Decides a canary if this server is the one who does, and if it can be decided.
async fn look_at(inner: &Inner, group: &str, number: u64) -> Result<(), StoreError> {
    let (store, settings) = (&inner.store, &inner.settings);
    let ttl_ms = u64::try_from(settings.lease_ttl.0.as_millis()).unwrap_or(u64::MAX);
    let lease = format!("deployment-canary:{group}");
    if store.acquire_lease(&lease, &inner.instance, ttl_ms).await?.is_none() {
        return Ok(());
    }
    let Some(record) = store.deployment(number).await? else {
        return Ok(());
    };
    let (DeploymentState::Canary, Some(terms), Some(began)) = (record.state, record.canary, record.canary_at) else {
        return Ok(());
    };
    let ran_ms = store.now().await?.as_millis() - began.as_millis();
    let ran = Duration::from_millis(u64::try_from(ran_ms).unwrap_or_default());
    let counts = store.canary_counts(number).await?;
    let (is_promoted, reason) = match decide(&counts, ran, terms.period.0, &settings.canary) {
        Verdict::Wait => return Ok(()),
        Verdict::Promote(reason) => (true, reason),
        Verdict::RollBack(reason) => (false, reason),
    };
    match store.end_canary(number, is_promoted, &reason).await {
        // Somebody has ended it by hand meanwhile.
        Err(StoreError::Conflict(_)) => return Ok(()),
        other => other?,
    }
    if is_promoted {
        tracing::info!(%group, deployment = number, "deployment {number} was {reason}");
    } else {
        tracing::error!(%group, deployment = number, "deployment {number} was {reason}");
    }
    inner.wake_follower.notify_one();
    Ok(())
}

/// A group has one deployment at a time that is to become live.
pub(crate) async fn refuse_beside_canary(inner: &Inner, group: &str) -> Result<(), DeployError> {
    let serving = inner.store.serving_deployments().await?;
    let is_canary = |one: &&DeploymentSummary| one.group == group && one.state == DeploymentState::Canary;
    match serving.iter().find(is_canary) {
        Some(canary) => Err(DeployError::CanaryRuns(canary.number)),
        None => Ok(()),
    }
}

/// Makes a canary live by hand.
pub(crate) async fn promote(inner: &Inner, number: u64, user: &str) -> Result<DeploymentSummary, DeployError> {
    end_by_hand(inner, number, true, &format!("promoted by {user}")).await
}

/// Ends a canary because somebody wants that.
pub(crate) async fn end_by_hand(
    inner: &Inner,
    number: u64,
    is_promoted: bool,
    reason: &str,
) -> Result<DeploymentSummary, DeployError> {
    match inner.store.end_canary(number, is_promoted, reason).await {
        Err(StoreError::NotFound(_)) => return Err(DeployError::NotFound(number)),
        Err(StoreError::Conflict(why)) => return Err(DeployError::Invalid(why)),
        other => other?,
    }
    tracing::info!(deployment = number, "deployment {number} was {reason}");
    inner.wake_follower.notify_one();
    summary(inner, number).await
}
