//! Canaries.

use std::time::Duration;

use tenon_model::{DurationText, InstanceId};
use tenon_protocol::control::{CanaryTerms, DeploymentState};

use super::Subject;
use crate::canary::CanaryCounts;
use crate::deployments::{DEFAULT_GROUP, DeploymentFile, NewDeployment};
use crate::engine::Store;
use crate::error::StoreError;

const TERMS: CanaryTerms = CanaryTerms {
    share_percent: 10,
    period: DurationText::from_secs(60),
};

async fn prepare(store: &Store, canary: Option<CanaryTerms>) -> Result<u64, StoreError> {
    let deployment = NewDeployment {
        group: DEFAULT_GROUP.to_owned(),
        source: "a test".to_owned(),
        files: vec![DeploymentFile::new("a.py", "content")],
        refused: Vec::new(),
        services: Vec::new(),
        canary,
    };
    store.begin_deployment(deployment, DeploymentState::Preparing).await
}

/// A live deployment and a canary.
async fn begin(store: &Store) -> Result<(u64, u64), StoreError> {
    let live = prepare(store, None).await?;
    store.commit_deployment(live).await?;
    let canary = prepare(store, Some(TERMS)).await?;
    store.begin_canary(canary).await?;
    Ok((live, canary))
}

async fn states(store: &Store) -> Result<Vec<DeploymentState>, StoreError> {
    let all = store.deployments(None, None, 9).await?;
    Ok(all.iter().rev().map(|one| one.state).collect())
}

fn counts(calls: u64, failures: u64) -> CanaryCounts {
    let mut counts = CanaryCounts::default();
    for call in 0..calls {
        counts.canary.record(Duration::from_millis(5), call < failures);
        counts.live.record(Duration::from_millis(9), false);
    }
    counts
}

pub(super) async fn one_runs_beside_the_live_one(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let early = prepare(store, Some(TERMS)).await?;
    let begun = store.begin_canary(early).await;
    assert!(
        matches!(begun, Err(StoreError::Conflict(_))),
        "nothing is live: {begun:?}"
    );
    let (live, canary) = begin(store).await?;
    store.begin_canary(canary).await?;
    let serving = store.serving_deployments().await?;
    let serving: Vec<_> = serving.iter().map(|one| (one.number, one.state, one.canary)).collect();
    assert_eq!(
        serving,
        [
            (live, DeploymentState::Live, None),
            (canary, DeploymentState::Canary, Some(TERMS))
        ]
    );
    let record = store.deployment(canary).await?.expect("the canary");
    assert_eq!(record.canary_at, Some(store.now().await?));
    assert_eq!(
        store.live_deployment(DEFAULT_GROUP).await?.expect("one is live").number,
        live
    );
    let other = prepare(store, Some(TERMS)).await?;
    let begun = store.begin_canary(other).await;
    assert!(matches!(begun, Err(StoreError::Conflict(_))), "{begun:?}");
    let committed = store.commit_deployment(other).await;
    assert!(matches!(committed, Err(StoreError::Conflict(_))), "{committed:?}");
    Ok(())
}

pub(super) async fn the_first_decision_counts(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let (live, canary) = begin(store).await?;
    let ended = store.end_canary(live, true, "no").await;
    assert!(matches!(ended, Err(StoreError::Conflict(_))), "{ended:?}");
    store.end_canary(canary, false, "rolled back: it failed").await?;
    assert_eq!(
        states(store).await?,
        [DeploymentState::Live, DeploymentState::RolledBack]
    );
    let again = store.end_canary(canary, true, "promoted").await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    let record = store.deployment(canary).await?.expect("the canary");
    assert_eq!(record.reason, "rolled back: it failed");
    let next = prepare(store, Some(TERMS)).await?;
    store.begin_canary(next).await?;
    store.end_canary(next, true, "promoted: good").await?;
    let expected = [
        DeploymentState::Superseded,
        DeploymentState::RolledBack,
        DeploymentState::Live,
    ];
    assert_eq!(states(store).await?, expected);
    let listed = store.serving_deployments().await?;
    assert_eq!((listed.len(), listed[0].reason.as_str()), (1, "promoted: good"));
    Ok(())
}

pub(super) async fn servers_add_up(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let (live, canary) = begin(store).await?;
    let [first, second] = [1, 2].map(|life| InstanceId::from_text(format!("life-{life}")));
    store.report_canary(canary, "server1", &first, counts(3, 1)).await?;
    store.report_canary(canary, "server1", &first, counts(4, 2)).await?;
    store.report_canary(canary, "server1", &second, counts(10, 0)).await?;
    store.report_canary(canary, "server2", &first, counts(1, 1)).await?;
    let all = store.canary_counts(canary).await?;
    assert_eq!((all.canary.calls, all.canary.failures, all.live.calls), (15, 3, 15));
    store.end_canary(canary, true, "").await?;
    store.report_canary(canary, "server2", &first, counts(7, 7)).await?;
    store.report_canary(live, "server2", &first, counts(7, 7)).await?;
    assert_eq!(store.canary_counts(canary).await?, CanaryCounts::default());
    assert_eq!(store.canary_counts(live).await?, CanaryCounts::default());
    Ok(())
}
