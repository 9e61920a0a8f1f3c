//! Locks of services.

use super::{Subject, at, instance, wait_for};
use crate::engine::{Event, Store};
use crate::error::StoreError;
use crate::locks::{Lock, LockTry};

async fn attempt(store: &Store, name: &str, server: &str, waits: bool) -> Result<LockTry, StoreError> {
    let life = instance(&format!("{server}-1"));
    store.acquire_lock(name, server, &life, 1_000, waits).await
}

async fn take(store: &Store, name: &str, server: &str) -> Result<Lock, StoreError> {
    let result = attempt(store, name, server, false).await?;
    let LockTry::Given(lock) = result else {
        return Err(StoreError::Conflict(format!("{name} is not free for {server}")));
    };
    Ok(lock)
}

async fn is_taken(store: &Store, name: &str, server: &str, waits: bool) -> Result<bool, StoreError> {
    Ok(matches!(
        attempt(store, name, server, waits).await?,
        LockTry::Taken { .. }
    ))
}

pub(super) async fn one_call_holds_it(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let lock = take(store, "x", "s1").await?;
    assert_eq!((lock.server.as_str(), lock.expires_at), ("s1", at(1_000)));
    subject.advance_ms(400);
    let again = attempt(store, "x", "s1", false).await?;
    assert_eq!(
        again,
        LockTry::Taken { ends_in_ms: 600 },
        "another call of the same server has to wait too"
    );
    assert!(is_taken(store, "x", "s2", false).await?);
    assert_eq!(store.lock("x").await?, Some(lock));
    take(store, "y", "s2").await?;
    Ok(())
}

pub(super) async fn tokens_only_grow(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let first = take(store, "x", "s1").await?;
    assert!(store.release_lock("x", first.token).await?);
    assert!(!store.release_lock("x", first.token).await?);
    assert_eq!(store.lock("x").await?, None);
    let second = take(store, "x", "s2").await?;
    assert!(second.token > first.token);
    assert!(!store.release_lock("x", first.token).await?, "the lock is another's");
    assert_eq!(store.renew_lock("x", first.token, 9_000).await?, None);
    subject.advance_ms(900);
    let renewed = store.renew_lock("x", second.token, 1_000).await?;
    assert_eq!(renewed.map(|lock| lock.expires_at), Some(at(1_900)));
    subject.advance_ms(1_000);
    assert_eq!(store.renew_lock("x", second.token, 1_000).await?, None);
    let third = take(store, "x", "s1").await?;
    assert!(third.token > second.token);
    Ok(())
}

pub(super) async fn the_server_that_waited_goes_first(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let mut events = store.events();
    let lock = take(store, "x", "s1").await?;
    assert!(is_taken(store, "x", "s2", true).await?);
    assert!(store.release_lock("x", lock.token).await?);
    wait_for(&mut events, |event| event == Event::Locks).await?;
    assert!(is_taken(store, "x", "s1", true).await?, "it is kept for s2");
    let lock = take(store, "x", "s2").await?;
    assert!(is_taken(store, "x", "s1", true).await?);
    assert!(store.release_lock("x", lock.token).await?);
    let lock = take(store, "x", "s1").await?;
    // Who waited and is gone keeps it from nobody for long.
    assert!(is_taken(store, "x", "s2", true).await?);
    assert!(store.release_lock("x", lock.token).await?);
    assert!(is_taken(store, "x", "s1", false).await?);
    subject.advance_ms(2_000);
    take(store, "x", "s1").await?;
    Ok(())
}

pub(super) async fn a_dead_server_s_locks_are_free_at_once(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    store.heartbeat(super::background::server("s1", "s1-1")).await?;
    take(store, "x", "s1").await?;
    assert!(is_taken(store, "x", "s2", true).await?);
    let mut events = store.events();
    store.member_lost("s1", instance("s1-1")).await?;
    wait_for(&mut events, |event| event == Event::Locks).await?;
    take(store, "x", "s2").await?;
    Ok(())
}
