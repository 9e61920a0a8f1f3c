//! Members.

use tenon_model::{Member, MemberState, Revision, Role};

use super::{Subject, at, instance, wait_for};
use crate::engine::{Event, Store};
use crate::error::StoreError;

fn member(name: &str, life: &str) -> Member {
    Member {
        name: name.to_owned(),
        role: Role::Server,
        instance: instance(life),
        pid: 7,
        state: MemberState::Ready,
        reason: String::new(),
        version: "0.1.0".to_owned(),
        address: Some("127.0.0.1:17010".to_owned()),
        data_socket: None,
        control_address: None,
        started_at: super::START,
        memory_bytes: 1,
        revision: Revision(3),
        deployment: 2,
        seen_at: at(-1_000_000),
    }
}

async fn states(store: &Store) -> Result<Vec<(String, MemberState)>, StoreError> {
    let members = store.members().await?;
    Ok(members.into_iter().map(|member| (member.name, member.state)).collect())
}

fn named(name: &str, state: MemberState) -> (String, MemberState) {
    (name.to_owned(), state)
}

pub(super) async fn silence_is_death(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    assert_eq!(store.heartbeat(member("b", "1")).await?, super::START);
    store.heartbeat(member("a", "1")).await?;
    let ready = MemberState::Ready;
    assert_eq!(states(store).await?, [named("a", ready), named("b", ready)]);
    assert_eq!(store.members().await?[0].seen_at, super::START, "by the store's clock");
    subject.advance_ms(3_000);
    store.heartbeat(member("a", "1")).await?;
    subject.advance_ms(2_001);
    assert_eq!(states(store).await?, [named("a", ready), named("b", MemberState::Dead)]);
    store.heartbeat(member("b", "1")).await?;
    assert_eq!(states(store).await?, [named("a", ready), named("b", ready)]);
    Ok(())
}

pub(super) async fn a_lost_connection_is_death(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    store.heartbeat(member("a", "1")).await?;
    store.member_lost("a", instance("1")).await?;
    assert_eq!(states(store).await?, [named("a", MemberState::Dead)]);
    store.heartbeat(member("a", "1")).await?;
    assert_eq!(states(store).await?, [named("a", MemberState::Ready)]);
    Ok(())
}

pub(super) async fn only_the_present_life_can_be_lost(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    store.heartbeat(member("a", "1")).await?;
    store.heartbeat(member("a", "2")).await?;
    store.member_lost("a", instance("1")).await?;
    store.member_lost("nobody", instance("1")).await?;
    assert_eq!(states(store).await?, [named("a", MemberState::Ready)]);
    Ok(())
}

pub(super) async fn members_are_announced(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let is_members = |event| event == Event::Members;
    let mut events = store.events();
    store.heartbeat(member("a", "1")).await?;
    wait_for(&mut events, is_members).await?;
    let mut draining = member("a", "1");
    draining.state = MemberState::Draining;
    store.heartbeat(draining.clone()).await?;
    wait_for(&mut events, is_members).await?;
    subject.advance_ms(5_001);
    subject.engine.maintain().await?;
    wait_for(&mut events, is_members).await?;
    store.heartbeat(draining).await?;
    wait_for(&mut events, is_members).await?;
    store.member_lost("a", instance("1")).await?;
    wait_for(&mut events, is_members).await
}

pub(super) async fn a_forgotten_member_comes_back(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    store.heartbeat(member("a", "1")).await?;
    store.forget_member("a").await?;
    assert_eq!(states(store).await?, []);
    store.heartbeat(member("a", "1")).await?;
    assert_eq!(states(store).await?, [named("a", MemberState::Ready)]);
    Ok(())
}
