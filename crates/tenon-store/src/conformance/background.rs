//! Background calls.

use bytes::Bytes;
use serde_json::json;
use tenon_model::{Member, MemberState, Revision, Role};

use super::{Subject, instance, wait_for};
use crate::background::{
    BackgroundClaim, BackgroundClaimer, BackgroundOutcome, BackgroundState, ClaimedBackground, NewBackground,
};
use crate::engine::{Event, Store};
use crate::error::StoreError;

fn call(service: &str) -> NewBackground {
    NewBackground {
        cid: format!("cid-{service}"),
        service: service.to_owned(),
        step: json!({"kind": "plain"}),
        payload: Bytes::from_static(b"{\"a\":1}"),
        delay_ms: 0,
    }
}

fn claimer(server: &str) -> BackgroundClaimer {
    BackgroundClaimer {
        server: server.to_owned(),
        instance: instance(&format!("{server}-1")),
        lease_ms: 1_000,
    }
}

fn well(end: serde_json::Value) -> BackgroundOutcome {
    BackgroundOutcome {
        is_ok: true,
        end,
        error: String::new(),
    }
}

fn badly(error: &str) -> BackgroundOutcome {
    BackgroundOutcome {
        is_ok: false,
        end: json!(null),
        error: error.to_owned(),
    }
}

fn services(calls: &[ClaimedBackground]) -> Vec<&str> {
    calls.iter().map(|call| call.service.as_str()).collect()
}

async fn claim_one(store: &Store, server: &str) -> Result<ClaimedBackground, StoreError> {
    let mut calls = store.claim_background(claimer(server), 1).await?;
    assert_eq!(calls.len(), 1, "one is due");
    Ok(calls.remove(0))
}

pub(super) async fn a_call_is_given_to_one_server(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let mut events = store.events();
    assert_eq!(store.put_background(vec![call("a")], None, None).await?, []);
    wait_for(&mut events, |event| event == Event::Background).await?;
    assert_eq!(store.background_open().await?, 1);
    let claimed = store.claim_background(claimer("s1"), 10).await?;
    assert_eq!(services(&claimed), ["a"]);
    let first = &claimed[0];
    assert_eq!((first.cid.as_str(), &first.payload), ("cid-a", &call("a").payload));
    assert_eq!((first.step.clone(), first.put_at), (call("a").step, super::START));
    assert_eq!((first.retries, first.lost), (0, 0));
    assert_eq!(store.claim_background(claimer("s2"), 10).await?, []);
    store.finish_background(first.claim, well(json!(1)), Vec::new()).await?;
    assert_eq!(store.background(None, None, 10).await?, []);
    assert_eq!(store.background_open().await?, 0);
    Ok(())
}

pub(super) async fn who_puts_a_call_can_have_it_at_once(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let later = NewBackground {
        delay_ms: 5_000,
        ..call("later")
    };
    let calls = vec![call("a"), later];
    let claims = store.put_background(calls, None, Some(claimer("s1"))).await?;
    assert_eq!((claims.len(), claims[0].fence, claims[1].fence), (2, 1, 0));
    assert_eq!(store.claim_background(claimer("s2"), 10).await?, []);
    store.finish_background(claims[0], well(json!(1)), Vec::new()).await?;
    subject.advance_ms(4_999);
    assert_eq!(store.claim_background(claimer("s2"), 10).await?, []);
    subject.advance_ms(1);
    assert_eq!(services(&store.claim_background(claimer("s2"), 10).await?), ["later"]);
    Ok(())
}

pub(super) async fn what_follows_is_put_with_the_end(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let claims = store.put_background(vec![call("a")], None, Some(claimer("s1"))).await?;
    let wrong = BackgroundClaim {
        fence: claims[0].fence + 1,
        ..claims[0]
    };
    let refused = store.finish_background(wrong, well(json!(1)), vec![call("b")]).await;
    assert!(matches!(refused, Err(StoreError::Fenced(_))), "{refused:?}");
    assert_eq!(store.claim_background(claimer("s2"), 10).await?, []);
    store
        .finish_background(claims[0], well(json!(1)), vec![call("b"), call("c")])
        .await?;
    assert_eq!(store.background_open().await?, 2);
    assert_eq!(services(&store.claim_background(claimer("s2"), 10).await?), ["b", "c"]);
    Ok(())
}

pub(super) async fn one_waits_for_others(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let claims = store
        .put_background(vec![call("a"), call("b")], Some(call("join")), Some(claimer("s1")))
        .await?;
    assert_eq!((claims.len(), store.background_open().await?), (2, 3));
    store
        .finish_background(claims[1], badly("it broke"), Vec::new())
        .await?;
    assert_eq!(store.claim_background(claimer("s2"), 10).await?, []);
    let states: Vec<_> = store.background(None, None, 10).await?;
    let states: Vec<_> = states.iter().map(|call| call.state).collect();
    let (ended, running, blocked) = (
        BackgroundState::Ended,
        BackgroundState::Running,
        BackgroundState::Blocked,
    );
    assert_eq!(states, [ended, running, blocked]);
    store
        .finish_background(claims[0], well(json!({"x": 1})), Vec::new())
        .await?;
    let join = claim_one(store, "s2").await?;
    assert_eq!(join.service, "join");
    assert_eq!(
        join.ends,
        [well(json!({"x": 1})), badly("it broke")],
        "in the order of the calls"
    );
    store
        .finish_background(join.claim, well(json!(null)), Vec::new())
        .await?;
    assert_eq!(
        (
            store.background(None, None, 10).await?.len(),
            store.background_open().await?
        ),
        (0, 0)
    );
    Ok(())
}

pub(super) async fn a_claim_ends_by_time(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let first = store
        .put_background(vec![call("a"), call("b")], None, Some(claimer("s1")))
        .await?;
    subject.advance_ms(900);
    assert_eq!(store.renew_background(vec![first[0]], 1_000).await?, [first[0]]);
    subject.advance_ms(900);
    let taken = claim_one(store, "s2").await?;
    assert_eq!(
        (taken.service.as_str(), taken.lost, taken.claim.id),
        ("b", 1, first[1].id)
    );
    assert_eq!(store.renew_background(first.clone(), 1_000).await?, [first[0]]);
    let late = store.finish_background(first[1], well(json!(1)), Vec::new()).await;
    assert!(matches!(late, Err(StoreError::Fenced(_))), "{late:?}");
    store.finish_background(taken.claim, well(json!(1)), Vec::new()).await?;
    Ok(())
}

pub(super) fn server(name: &str, life: &str) -> Member {
    Member {
        name: name.to_owned(),
        role: Role::Server,
        instance: instance(life),
        pid: 7,
        state: MemberState::Ready,
        reason: String::new(),
        version: "0.1.0".to_owned(),
        address: None,
        data_socket: None,
        control_address: None,
        started_at: super::START,
        memory_bytes: 1,
        revision: Revision(3),
        deployment: 2,
        seen_at: super::START,
    }
}

pub(super) async fn a_dead_server_s_calls_are_free_at_once(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    store.heartbeat(server("s1", "s1-1")).await?;
    let mut events = store.events();
    store.put_background(vec![call("a")], None, Some(claimer("s1"))).await?;
    store.member_lost("s1", instance("s1-1")).await?;
    wait_for(&mut events, |event| event == Event::Background).await?;
    assert_eq!(claim_one(store, "s2").await?.lost, 1);
    // A new life of the same server says as much as a death.
    store.put_background(vec![call("b")], None, Some(claimer("s1"))).await?;
    store.heartbeat(server("s1", "s1-2")).await?;
    assert_eq!(claim_one(store, "s2").await?.service, "b");
    // So does silence.
    let present = BackgroundClaimer {
        instance: instance("s1-2"),
        lease_ms: 1_000_000,
        ..claimer("s1")
    };
    store.put_background(vec![call("c")], None, Some(present)).await?;
    subject.advance_ms(5_001);
    subject.engine.maintain().await?;
    let taken = store.claim_background(claimer("s2"), 10).await?;
    assert!(services(&taken).contains(&"c"), "{taken:?}");
    Ok(())
}

pub(super) async fn a_call_can_be_put_back(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let claims = store.put_background(vec![call("a")], None, Some(claimer("s1"))).await?;
    store.retry_background(claims[0], 2_000, "no worker").await?;
    let again = store.retry_background(claims[0], 2_000, "no worker").await;
    assert!(matches!(again, Err(StoreError::Fenced(_))), "{again:?}");
    let listed = store.background(Some(BackgroundState::Waiting), None, 10).await?;
    assert_eq!((listed.len(), listed[0].error.as_str()), (1, "no worker"));
    assert_eq!(store.claim_background(claimer("s1"), 10).await?, []);
    subject.advance_ms(2_000);
    let call = claim_one(store, "s1").await?;
    assert_eq!((call.retries, call.lost), (1, 0));
    store.release_background(vec![call.claim, claims[0]]).await?;
    let call = claim_one(store, "s2").await?;
    assert_eq!((call.retries, call.lost), (1, 0), "giving it back counts for nothing");
    Ok(())
}

pub(super) async fn failed_calls_are_kept_for_a_while(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    for number in 0..8 {
        let claims = store
            .put_background(vec![call(&format!("s{number}"))], None, Some(claimer("s1")))
            .await?;
        store
            .finish_background(claims[0], badly(&"x".repeat(100_000)), Vec::new())
            .await?;
        subject.advance_ms(10);
    }
    assert_eq!(store.background_open().await?, 0);
    let failed = store.background(Some(BackgroundState::Failed), None, 100).await?;
    assert_eq!((failed.len(), failed[0].error.len()), (8, 16 * 1024));
    subject.advance_ms(60_000);
    subject.engine.maintain().await?;
    let failed = store.background(Some(BackgroundState::Failed), None, 100).await?;
    let kept: Vec<_> = failed.iter().map(|call| call.service.as_str()).collect();
    assert_eq!(
        kept,
        ["s7", "s6", "s5", "s4", "s3"],
        "the newest, as many as the settings say"
    );
    let next = store.background(None, Some(failed[1].id), 2).await?;
    assert_eq!(
        next.iter().map(|call| call.service.as_str()).collect::<Vec<_>>(),
        ["s5", "s4"]
    );
    subject.advance_ms(8 * 86_400_000);
    subject.engine.maintain().await?;
    assert_eq!(store.background(None, None, 100).await?, []);
    Ok(())
}

pub(super) async fn too_many_open_calls_are_refused(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let calls = |count: usize| vec![call("a"); count];
    store.put_background(calls(49), None, None).await?;
    let refused = store.put_background(calls(1), Some(call("join")), None).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    let claims = store.put_background(calls(1), None, Some(claimer("s1"))).await?;
    // What was accepted may have consequences.
    store.finish_background(claims[0], well(json!(1)), calls(3)).await?;
    assert_eq!(store.background_open().await?, 52);
    assert!(store.put_background(calls(1), None, None).await.is_err());
    Ok(())
}
