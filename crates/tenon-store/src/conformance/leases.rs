//! Leases.

use super::{Subject, at, instance};
use crate::error::StoreError;

pub(super) async fn one_holds_it(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let (a, b) = (instance("a"), instance("b"));
    let lease = store.acquire_lease("x", &a, 1_000).await?.expect("it is free");
    assert_eq!((lease.epoch, lease.expires_at), (1, at(1_000)));
    assert_eq!(store.acquire_lease("x", &b, 1_000).await?, None);
    assert!(store.acquire_lease("y", &b, 1_000).await?.is_some(), "another lease");
    subject.advance_ms(400);
    let again = store.acquire_lease("x", &a, 1_000).await?.expect("it is a's");
    assert_eq!((again.epoch, again.expires_at), (1, at(1_400)));
    assert_eq!(store.lease("x").await?, Some(again));
    Ok(())
}

pub(super) async fn epochs_grow_when_it_changes_hands(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let (a, b) = (instance("a"), instance("b"));
    let first = store.acquire_lease("x", &a, 1_000).await?.expect("it is free");
    subject.advance_ms(999);
    assert_eq!(store.acquire_lease("x", &b, 1_000).await?, None);
    subject.advance_ms(1);
    assert_eq!(store.lease("x").await?, None);
    let second = store.acquire_lease("x", &b, 1_000).await?.expect("it has ended");
    assert_eq!((second.epoch, second.holder.clone()), (first.epoch + 1, b));
    assert_eq!(store.renew_lease(&first, 1_000).await?, None);
    subject.advance_ms(1_000);
    let third = store
        .acquire_lease("x", &second.holder, 1_000)
        .await?
        .expect("it has ended");
    assert_eq!(
        third.epoch,
        second.epoch + 1,
        "who let it end may have missed somebody else's writes"
    );
    Ok(())
}

pub(super) async fn an_ended_lease_is_not_renewed(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let lease = store
        .acquire_lease("x", &instance("a"), 1_000)
        .await?
        .expect("it is free");
    subject.advance_ms(900);
    let lease = store.renew_lease(&lease, 1_000).await?.expect("it is held");
    assert_eq!((lease.epoch, lease.expires_at), (1, at(1_900)));
    subject.advance_ms(1_000);
    assert_eq!(store.renew_lease(&lease, 1_000).await?, None);
    Ok(())
}

pub(super) async fn a_released_lease_is_free(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let (a, b) = (instance("a"), instance("b"));
    let first = store.acquire_lease("x", &a, 1_000).await?.expect("it is free");
    store.release_lease(&first).await?;
    assert_eq!(store.renew_lease(&first, 1_000).await?, None);
    let second = store.acquire_lease("x", &b, 1_000).await?.expect("it was released");
    assert_eq!(second.epoch, 2);
    store.release_lease(&first).await?;
    assert_eq!(
        store.lease("x").await?,
        Some(second),
        "who no longer holds it can't release it"
    );
    Ok(())
}
