//! How attempts and runs end, and the account of it.

use tenon_protocol::control::RunOutcome;

use super::runs::{CLAIM_MS, claim, new_run, plan, scheduler_lease, step};
use super::{Subject, at};
use crate::error::StoreError;
use crate::runs::{ClaimedRun, FinishedRun, NewRun, OnLost, RunRetention};

/// The end of an attempt that took 5 ms.
pub(super) fn finished(run: &ClaimedRun, outcome: RunOutcome) -> FinishedRun {
    FinishedRun {
        id: run.id,
        fence: run.fence,
        outcome,
        output: "out".to_owned(),
        error: if outcome == RunOutcome::Ok {
            String::new()
        } else {
            "bad".to_owned()
        },
        cid: format!("cid-{}", run.attempt),
        duration_ms: 5,
    }
}

pub(super) async fn an_attempt_ends_a_run(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    plan(store, "j", vec![new_run("j", 0)]).await?;
    let run = claim(store, "server1").await?.remove(0);
    subject.advance_ms(5);
    let ended = store.finish_run(finished(&run, RunOutcome::Ok)).await?;
    assert_eq!(
        (ended.outcome, ended.ended_at, ended.duration_ms),
        (RunOutcome::Ok, Some(at(5)), Some(5))
    );
    assert_eq!(
        (ended.output.as_str(), ended.cid.as_str(), ended.attempt),
        ("out", "cid-1", 1)
    );
    assert_eq!(store.run(run.id).await?, Some(ended));
    let again = store.finish_run(finished(&run, RunOutcome::Ok)).await;
    assert!(matches!(again, Err(StoreError::Fenced(_))), "{again:?}");
    let wrong = store.finish_run(finished(&run, RunOutcome::Running)).await;
    assert!(matches!(wrong, Err(StoreError::Invalid(_))), "{wrong:?}");
    let ledger = store.job_ledger("j").await?;
    assert_eq!(
        (ledger.planned, ledger.ran, ledger.open, ledger.overlapping_attempts),
        (1, 1, 0, 0)
    );
    Ok(())
}

pub(super) async fn a_failed_attempt_is_retried_later(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let run = NewRun {
        attempts_max: 4,
        retry_delay_max_ms: 250,
        ..new_run("j", 0)
    };
    plan(store, "j", vec![run]).await?;
    for delay_ms in [100, 200, 250] {
        let run = claim(store, "server1").await?.remove(0);
        let waits = store.finish_run(finished(&run, RunOutcome::Error)).await?;
        assert_eq!((waits.outcome, waits.ended_at), (RunOutcome::Waiting, None));
        assert_eq!(waits.error, "bad", "why the last attempt failed");
        let again = store.finish_run(finished(&run, RunOutcome::Ok)).await;
        assert!(
            matches!(again, Err(StoreError::Fenced(_))),
            "an attempt ends once: {again:?}"
        );
        subject.advance_ms(delay_ms - 1);
        assert!(claim(store, "server1").await?.is_empty());
        subject.advance_ms(1);
    }
    let last = claim(store, "server1").await?.remove(0);
    assert_eq!(last.attempt, 4);
    let ended = store.finish_run(finished(&last, RunOutcome::Timeout)).await?;
    assert_eq!((ended.outcome, ended.attempt), (RunOutcome::Timeout, 4));
    assert!(
        ended.lateness_ms.is_some_and(|lateness_ms| lateness_ms == 0),
        "the first attempt was in time"
    );
    Ok(())
}

pub(super) async fn a_run_of_a_dead_server_is_run_again(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    plan(store, "j", vec![new_run("j", 0)]).await?;
    let first = claim(store, "server1").await?.remove(0);
    subject.advance_ms(CLAIM_MS - 1);
    assert!(claim(store, "server2").await?.is_empty());
    subject.advance_ms(1);
    let second = claim(store, "server2").await?.remove(0);
    assert_eq!((second.id, second.attempt), (first.id, 2));
    assert!(second.fence > first.fence);
    let ended = store.finish_run(finished(&second, RunOutcome::Error)).await?;
    assert_eq!(
        ended.outcome,
        RunOutcome::Error,
        "the lost attempt was none of the one that it may have"
    );
    let ledger = store.job_ledger("j").await?;
    assert_eq!((ledger.ran, ledger.lost, ledger.overlapping_attempts), (1, 0, 0));
    Ok(())
}

pub(super) async fn a_run_of_a_dead_server_is_lost_if_it_says_so(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let run = NewRun {
        on_lost: OnLost::Fail,
        ..new_run("j", 0)
    };
    plan(store, "j", vec![run]).await?;
    let run = claim(store, "server1").await?.remove(0);
    subject.advance_ms(CLAIM_MS);
    subject.engine.maintain().await?;
    let lost = store.run(run.id).await?.expect("the run");
    assert_eq!((lost.outcome, lost.ended_at.is_some()), (RunOutcome::Lost, true));
    assert!(lost.error.contains("server1"), "{}", lost.error);
    assert!(claim(store, "server2").await?.is_empty());
    let late = store.finish_run(finished(&run, RunOutcome::Ok)).await;
    assert!(matches!(late, Err(StoreError::Fenced(_))), "{late:?}");
    let ledger = store.job_ledger("j").await?;
    assert_eq!(
        (ledger.ran, ledger.lost, ledger.overlapping_attempts),
        (1, 0, 0),
        "it has a reason"
    );
    Ok(())
}

pub(super) async fn a_run_that_kills_servers_is_given_up(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    plan(store, "j", vec![new_run("j", 0)]).await?;
    for attempt in 1..=3 {
        let run = claim(store, "server1").await?.remove(0);
        assert_eq!(run.attempt, attempt);
        subject.advance_ms(CLAIM_MS);
    }
    assert!(claim(store, "server1").await?.is_empty());
    assert_eq!(store.runs("j", None, 1).await?[0].outcome, RunOutcome::Lost);
    Ok(())
}

pub(super) async fn renewed_claims_live_on(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    plan(store, "j", vec![new_run("j", 0)]).await?;
    let run = claim(store, "server1").await?.remove(0);
    for _ in 0..3 {
        subject.advance_ms(CLAIM_MS - 1);
        let kept = store
            .renew_runs(vec![(run.id, run.fence), (run.id, 99), (99, 1)], CLAIM_MS)
            .await?;
        assert_eq!(kept, [run.id]);
        assert!(claim(store, "server2").await?.is_empty());
    }
    store.finish_run(finished(&run, RunOutcome::Ok)).await?;
    assert!(store.renew_runs(vec![(run.id, run.fence)], CLAIM_MS).await?.is_empty());
    Ok(())
}

pub(super) async fn only_the_latest_attempt_ends_a_run(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    plan(store, "j", vec![new_run("j", 0)]).await?;
    let first = claim(store, "server1").await?.remove(0);
    subject.advance_ms(CLAIM_MS);
    let second = claim(store, "server2").await?.remove(0);
    // It ended before the second attempt began, and only its report is late: that was no overlap.
    let late = store.finish_run(finished(&first, RunOutcome::Ok)).await;
    assert!(matches!(late, Err(StoreError::Fenced(_))), "{late:?}");
    assert_eq!(store.job_ledger("j").await?.overlapping_attempts, 0);
    subject.advance_ms(CLAIM_MS);
    let third = claim(store, "server1").await?.remove(0);
    let went_on = FinishedRun {
        duration_ms: CLAIM_MS + 1,
        ..finished(&second, RunOutcome::Ok)
    };
    for _ in 0..2 {
        let late = store.finish_run(went_on.clone()).await;
        assert!(matches!(late, Err(StoreError::Fenced(_))), "{late:?}");
        assert_eq!(
            store.job_ledger("j").await?.overlapping_attempts,
            1,
            "it is counted, once"
        );
    }
    store.finish_run(finished(&third, RunOutcome::Ok)).await?;
    Ok(())
}

pub(super) async fn a_late_attempt_counts_if_no_other_began(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    plan(store, "j", vec![new_run("j", 0)]).await?;
    let run = claim(store, "server1").await?.remove(0);
    subject.advance_ms(CLAIM_MS);
    subject.engine.maintain().await?;
    assert_eq!(
        store.run(run.id).await?.map(|run| run.outcome),
        Some(RunOutcome::Waiting)
    );
    let ended = store.finish_run(finished(&run, RunOutcome::Ok)).await?;
    assert_eq!(ended.outcome, RunOutcome::Ok);
    assert!(claim(store, "server2").await?.is_empty());
    Ok(())
}

pub(super) async fn long_texts_are_cut(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    plan(store, "j", vec![new_run("j", 0)]).await?;
    let run = claim(store, "server1").await?.remove(0);
    let long = FinishedRun {
        output: "ä".repeat(100_000),
        error: "x".repeat(100_000),
        ..finished(&run, RunOutcome::Error)
    };
    let ended = store.finish_run(long).await?;
    assert_eq!((ended.output.len(), ended.error.len()), (4 * 1024, 16 * 1024));
    Ok(())
}

pub(super) async fn retention_keeps_the_account(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let lease = scheduler_lease(store).await?;
    for version in 0..10 {
        let planned_ms = i64::try_from(version).unwrap_or(0) * 1_000;
        store
            .plan_runs(&lease, vec![step("j", version, vec![new_run("j", planned_ms)])])
            .await?;
        if version < 8 {
            let run = claim(store, "server1").await?.remove(0);
            store.finish_run(finished(&run, RunOutcome::Ok)).await?;
        }
        subject.advance_ms(1_000);
    }
    let before = store.job_ledger("j").await?;
    let by_age = RunRetention {
        keep_ms: 7_500,
        runs_max: 1_000,
    };
    assert_eq!(store.trim_runs(by_age).await?, 3, "those that ended before 2.5 s");
    let by_number = RunRetention {
        keep_ms: 1_000_000,
        runs_max: 4,
    };
    assert_eq!(store.trim_runs(by_number).await?, 3);
    let left: Vec<_> = store
        .runs("j", None, 20)
        .await?
        .iter()
        .map(|run| run.planned_at)
        .collect();
    assert_eq!(left, [at(9_000), at(8_000), at(7_000), at(6_000)]);
    let none = RunRetention {
        keep_ms: 0,
        runs_max: 0,
    };
    subject.advance_ms(1_000);
    assert_eq!(store.trim_runs(none).await?, 2, "what has not ended stays");
    let after = store.job_ledger("j").await?;
    assert_eq!(after, before);
    assert_eq!((after.planned, after.ran, after.open, after.lost), (10, 8, 2, 0));
    let cursor = store.job_cursors().await?.remove("j").expect("the job has a cursor");
    let again = step("j", cursor.version, vec![new_run("j", 0), new_run("j", 10_000)]);
    store.plan_runs(&lease, vec![again]).await?;
    assert_eq!(
        store.job_ledger("j").await?.planned,
        11,
        "what was removed is not planned anew"
    );
    Ok(())
}
