//! What is planned, and who gets it.

use serde_json::{Value, json};
use tenon_protocol::control::{RunOutcome, RunSummary};

use super::{START, Subject, at, instance, wait_for};
use crate::engine::{Event, Store};
use crate::error::StoreError;
use crate::leases::Lease;
use crate::runs::{ClaimedRun, NewRun, OnLost, Overlap, PlanStep};

/// How long claims live here.
pub(super) const CLAIM_MS: u64 = 10_000;

/// A run of job `job` planned for `START` plus so many milliseconds.
pub(super) fn new_run(job: &str, planned_ms: i64) -> NewRun {
    NewRun {
        job: job.to_owned(),
        planned_at: at(planned_ms),
        skipped: None,
        service: "a.service".to_owned(),
        payload: json!({"n": planned_ms}),
        timeout_ms: 1_000,
        attempts_max: 1,
        retry_delay_ms: 100,
        retry_delay_max_ms: 1_000,
        on_lost: OnLost::Rerun,
        overlap: Overlap::Queue,
    }
}

/// A step that plans these runs; its watermark is the last one's instant.
pub(super) fn step(job: &str, expected_version: u64, runs: Vec<NewRun>) -> PlanStep {
    let watermark = runs.iter().map(|run| run.planned_at).max().unwrap_or(START);
    PlanStep {
        job: job.to_owned(),
        expected_version,
        next_at: None,
        watermark,
        state: Value::Null,
        runs,
    }
}

/// The scheduler's lease, for long.
pub(super) async fn scheduler_lease(store: &Store) -> Result<Lease, StoreError> {
    let lease = store
        .acquire_lease("scheduler", &instance("scheduler"), 1_000_000_000)
        .await?;
    lease.ok_or_else(|| StoreError::Fenced("the scheduler's lease".to_owned()))
}

/// Plans runs of a job that has no cursor yet.
pub(super) async fn plan(store: &Store, job: &str, runs: Vec<NewRun>) -> Result<(), StoreError> {
    let lease = scheduler_lease(store).await?;
    store.plan_runs(&lease, vec![step(job, 0, runs)]).await
}

/// Claims everything that may be claimed.
pub(super) async fn claim(store: &Store, server: &str) -> Result<Vec<ClaimedRun>, StoreError> {
    store.claim_runs(server, &instance(server), 100, CLAIM_MS).await
}

fn outcomes(runs: &[RunSummary]) -> Vec<RunOutcome> {
    runs.iter().map(|run| run.outcome).collect()
}

async fn finish_ok(store: &Store, run: &ClaimedRun) -> Result<RunSummary, StoreError> {
    store.finish_run(super::runs_ended::finished(run, RunOutcome::Ok)).await
}

pub(super) async fn plans_are_fenced_by_the_lease(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let old = store
        .acquire_lease("scheduler", &instance("s1"), 1_000)
        .await?
        .expect("it is free");
    subject.advance_ms(1_000);
    let refused = store.plan_runs(&old, vec![step("j", 0, vec![new_run("j", 0)])]).await;
    assert!(
        matches!(refused, Err(StoreError::Fenced(_))),
        "it has ended: {refused:?}"
    );
    let new = store
        .acquire_lease("scheduler", &instance("s2"), 1_000)
        .await?
        .expect("it has ended");
    let refused = store.plan_runs(&old, vec![step("j", 0, vec![new_run("j", 0)])]).await;
    assert!(
        matches!(refused, Err(StoreError::Fenced(_))),
        "it is another's: {refused:?}"
    );
    assert!(store.job_cursors().await?.is_empty());
    store.plan_runs(&new, vec![step("j", 0, vec![new_run("j", 0)])]).await?;
    assert_eq!(store.runs("j", None, 10).await?.len(), 1);
    Ok(())
}

pub(super) async fn plans_are_fenced_by_the_cursor(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let lease = scheduler_lease(store).await?;
    let mut first = step("j", 0, vec![new_run("j", 0)]);
    first.next_at = Some(at(10));
    first.state = json!({"repeats": 1});
    store.plan_runs(&lease, vec![first]).await?;
    let cursor = store.job_cursors().await?.remove("j").expect("the job has a cursor");
    assert_eq!(
        (cursor.version, cursor.next_at, cursor.watermark),
        (1, Some(at(10)), at(0))
    );
    assert_eq!(cursor.state, json!({"repeats": 1}));
    let other = step("other", 0, vec![new_run("other", 0)]);
    let stale = step("j", 0, vec![new_run("j", 10)]);
    let refused = store.plan_runs(&lease, vec![other, stale]).await;
    assert!(matches!(refused, Err(StoreError::Fenced(_))), "{refused:?}");
    assert!(store.runs("other", None, 10).await?.is_empty(), "all steps or none");
    store
        .plan_runs(&lease, vec![step("j", 1, vec![new_run("j", 10)])])
        .await?;
    assert_eq!(store.runs("j", None, 10).await?.len(), 2);
    Ok(())
}

pub(super) async fn an_instant_has_one_run(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let lease = scheduler_lease(store).await?;
    let twice = vec![new_run("j", 0), new_run("j", 0), new_run("j", 5)];
    store.plan_runs(&lease, vec![step("j", 0, twice)]).await?;
    let past = vec![new_run("j", 3), new_run("j", 5), new_run("j", 6)];
    store.plan_runs(&lease, vec![step("j", 1, past)]).await?;
    let planned: Vec<_> = store
        .runs("j", None, 10)
        .await?
        .iter()
        .map(|run| run.planned_at)
        .collect();
    assert_eq!(
        planned,
        [at(6), at(5), at(0)],
        "nothing twice, nothing before the watermark"
    );
    let ledger = store.job_ledger("j").await?;
    assert_eq!(
        (ledger.planned, ledger.open, ledger.duplicates, ledger.lost),
        (3, 3, 0, 0)
    );
    Ok(())
}

pub(super) async fn a_run_is_given_to_one_server(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    subject.advance_ms(30);
    plan(store, "j", vec![new_run("j", 0)]).await?;
    let claimed = claim(store, "server1").await?;
    assert_eq!(claimed.len(), 1);
    let run = &claimed[0];
    assert_eq!((run.job.as_str(), run.attempt, run.manual), ("j", 1, false));
    assert_eq!((run.planned_at, &run.payload), (at(0), &json!({"n": 0})));
    assert_eq!(run.expires_at, at(30 + i64::try_from(CLAIM_MS).unwrap_or(0)));
    assert!(claim(store, "server2").await?.is_empty());
    let seen = store.run(run.id).await?.expect("the run");
    assert_eq!(
        (seen.outcome, seen.server.as_deref()),
        (RunOutcome::Running, Some("server1"))
    );
    assert_eq!((seen.started_at, seen.lateness_ms), (Some(at(30)), Some(30)));
    Ok(())
}

pub(super) async fn runs_wait_until_they_are_due(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    plan(store, "j", vec![new_run("j", 500)]).await?;
    assert!(claim(store, "server1").await?.is_empty());
    subject.advance_ms(500);
    assert_eq!(claim(store, "server1").await?.len(), 1);
    Ok(())
}

pub(super) async fn an_open_run_makes_the_next_one_skip(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let lease = scheduler_lease(store).await?;
    let skipping = |planned_ms| NewRun {
        overlap: Overlap::Skip,
        ..new_run("j", planned_ms)
    };
    store.plan_runs(&lease, vec![step("j", 0, vec![skipping(0)])]).await?;
    subject.advance_ms(10);
    store.plan_runs(&lease, vec![step("j", 1, vec![skipping(10)])]).await?;
    let claimed = claim(store, "server1").await?;
    assert_eq!(claimed.len(), 1);
    finish_ok(store, &claimed[0]).await?;
    subject.advance_ms(10);
    store.plan_runs(&lease, vec![step("j", 2, vec![skipping(20)])]).await?;
    let runs = store.runs("j", None, 10).await?;
    assert_eq!(
        outcomes(&runs),
        [RunOutcome::Waiting, RunOutcome::Skipped, RunOutcome::Ok]
    );
    assert!(!runs[1].error.is_empty(), "it says why");
    let by_policy = NewRun {
        skipped: Some("missed".to_owned()),
        ..new_run("j", 30)
    };
    store.plan_runs(&lease, vec![step("j", 3, vec![by_policy])]).await?;
    let ledger = store.job_ledger("j").await?;
    assert_eq!(
        (ledger.planned, ledger.missed_by_policy, ledger.ran, ledger.open),
        (4, 2, 1, 1)
    );
    Ok(())
}

pub(super) async fn queued_runs_follow_each_other(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    plan(store, "j", vec![new_run("j", 0), new_run("j", 1), new_run("j", 2)]).await?;
    subject.advance_ms(10);
    for planned_ms in 0..3 {
        let claimed = claim(store, "server1").await?;
        assert_eq!(claimed.len(), 1, "one at a time");
        assert_eq!(claimed[0].planned_at, at(planned_ms));
        assert!(claim(store, "server2").await?.is_empty());
        finish_ok(store, &claimed[0]).await?;
    }
    assert!(claim(store, "server1").await?.is_empty());
    Ok(())
}

pub(super) async fn allowed_runs_overlap(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let allowed = |planned_ms| NewRun {
        overlap: Overlap::Allow,
        ..new_run("j", planned_ms)
    };
    plan(store, "j", vec![allowed(0), allowed(1), allowed(2)]).await?;
    subject.advance_ms(10);
    let two = store.claim_runs("server1", &instance("1"), 2, CLAIM_MS).await?;
    assert_eq!(two.len(), 2, "no more than asked for");
    assert_eq!(claim(store, "server2").await?.len(), 1);
    Ok(())
}

pub(super) async fn a_replaced_run_is_ended_first(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let lease = scheduler_lease(store).await?;
    let replacing = |planned_ms| NewRun {
        overlap: Overlap::Replace,
        attempts_max: 5,
        ..new_run("j", planned_ms)
    };
    store.plan_runs(&lease, vec![step("j", 0, vec![replacing(0)])]).await?;
    let running = claim(store, "server1").await?.remove(0);
    subject.advance_ms(10);
    store.plan_runs(&lease, vec![step("j", 1, vec![replacing(10)])]).await?;
    store.plan_runs(&lease, vec![step("j", 2, vec![replacing(11)])]).await?;
    subject.advance_ms(10);
    let runs = store.runs("j", None, 10).await?;
    assert_eq!(
        outcomes(&runs),
        [RunOutcome::Waiting, RunOutcome::Skipped, RunOutcome::Running]
    );
    assert!(
        claim(store, "server2").await?.is_empty(),
        "the one that runs must end first"
    );
    let kept = store.renew_runs(vec![(running.id, running.fence)], CLAIM_MS).await?;
    assert!(kept.is_empty(), "its server is told to end it");
    let ended = store
        .finish_run(super::runs_ended::finished(&running, RunOutcome::Error))
        .await?;
    assert_eq!(ended.outcome, RunOutcome::Error, "it is not retried");
    let claimed = claim(store, "server2").await?;
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].planned_at, at(11));
    Ok(())
}

pub(super) async fn manual_runs_stand_beside_the_schedule(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let first = store.add_manual_run(new_run("j", 0)).await?;
    assert!(first.manual && first.outcome == RunOutcome::Waiting);
    let second = store.add_manual_run(new_run("j", 0)).await?;
    assert_ne!(first.id, second.id, "two at one instant are two");
    plan(store, "j", vec![new_run("j", 0)]).await?;
    let claimed = claim(store, "server1").await?;
    assert_eq!(claimed.len(), 1, "they run one after the other");
    assert_eq!((claimed[0].id, claimed[0].manual), (first.id, true));
    let ledger = store.job_ledger("j").await?;
    assert_eq!(
        (ledger.planned, ledger.open, ledger.lost),
        (1, 1, 0),
        "the account is the schedule's"
    );
    let last = store.last_runs().await?;
    assert_eq!(last.len(), 1);
    assert!(last["j"].id > second.id);
    Ok(())
}

pub(super) async fn too_many_waiting_runs_are_skipped(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    plan(store, "j", (0..60).map(|planned_ms| new_run("j", planned_ms)).collect()).await?;
    let ledger = store.job_ledger("j").await?;
    assert_eq!((ledger.planned, ledger.open, ledger.missed_by_policy), (60, 50, 10));
    let refused = store.add_manual_run(new_run("j", 100)).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    Ok(())
}

pub(super) async fn a_removed_job_skips_what_waits(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    plan(store, "j", vec![new_run("j", 0), new_run("j", 1)]).await?;
    subject.advance_ms(1);
    let running = claim(store, "server1").await?.remove(0);
    let lease = scheduler_lease(store).await?;
    let ended = Lease {
        epoch: lease.epoch + 1,
        ..lease.clone()
    };
    let fenced = store.delete_job(&ended, "j").await;
    assert!(matches!(fenced, Err(StoreError::Fenced(_))), "{fenced:?}");
    store.delete_job(&lease, "j").await?;
    assert!(store.job_cursors().await?.is_empty());
    finish_ok(store, &running).await?;
    assert_eq!(
        outcomes(&store.runs("j", None, 9).await?),
        [RunOutcome::Skipped, RunOutcome::Ok]
    );
    plan(store, "j", vec![new_run("j", 1), new_run("j", 2)]).await?;
    let ledger = store.job_ledger("j").await?;
    let account = (
        ledger.planned,
        ledger.ran,
        ledger.missed_by_policy,
        ledger.open,
        ledger.lost,
    );
    assert_eq!(
        account,
        (3, 1, 1, 1, 0),
        "a job that comes back goes on with its account"
    );
    assert_eq!(ledger.since, at(0));
    Ok(())
}

pub(super) async fn runs_are_announced(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let mut events = store.events();
    plan(store, "j", vec![new_run("j", 500)]).await?;
    wait_for(&mut events, |event| event == Event::Jobs).await?;
    wait_for(&mut events, |event| event == Event::Runs).await?;
    subject.advance_ms(500);
    subject.engine.maintain().await?;
    wait_for(&mut events, |event| event == Event::Runs).await?;
    let run = claim(store, "server1").await?.remove(0);
    finish_ok(store, &run).await?;
    wait_for(&mut events, |event| event == Event::Runs).await
}
