//! Quotas.

use super::Subject;
use crate::engine::Store;
use crate::error::StoreError;
use crate::quotas::{QuotaKind, QuotaSpec, QuotaUnit};

fn bucket(rate_per_second: f64, burst: f64) -> QuotaSpec {
    QuotaSpec {
        kind: QuotaKind::TokenBucket { rate_per_second, burst },
    }
}

fn window(limit: u64, unit: QuotaUnit) -> QuotaSpec {
    QuotaSpec {
        kind: QuotaKind::FixedWindow { limit, unit },
    }
}

/// What was given, what is left and when there is more.
async fn take(store: &Store, key: &str, spec: QuotaSpec, wanted: u64) -> Result<(u64, u64, u64), StoreError> {
    let grant = store.take_quota(key, spec, wanted).await?;
    Ok((grant.granted, grant.remaining, grant.retry_after_ms))
}

pub(super) async fn a_bucket_fills_steadily(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let spec = bucket(10.0, 20.0);
    assert_eq!(take(store, "a", spec, 15).await?, (15, 5, 0));
    assert_eq!(take(store, "b", spec, 1).await?, (1, 19, 0), "keys are apart");
    assert_eq!(take(store, "a", spec, 15).await?, (5, 0, 100));
    subject.advance_ms(50);
    assert_eq!(take(store, "a", spec, 1).await?, (0, 0, 50));
    subject.advance_ms(50);
    assert_eq!(take(store, "a", spec, 1).await?, (1, 0, 0));
    subject.advance_ms(60_000);
    let grant = store.take_quota("a", spec, 0).await?;
    assert_eq!((grant.remaining, grant.reset_ms), (20, 0), "it holds no more than that");
    assert_eq!(store.take_quota("a", spec, 5).await?.reset_ms, 500);
    assert_eq!(
        take(store, "a", bucket(10.0, 30.0), 1).await?,
        (1, 29, 0),
        "a new rule begins anew"
    );
    let wrong = store.take_quota("a", bucket(0.0, 30.0), 1).await;
    assert!(matches!(wrong, Err(StoreError::Invalid(_))), "{wrong:?}");
    Ok(())
}

pub(super) async fn a_window_begins_with_its_unit(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    // The clock of a subject starts at 08:00:00 UTC on 15 January 2027.
    let spec = window(3, QuotaUnit::Minute);
    subject.advance_ms(20_000);
    assert_eq!(take(store, "a", spec, 2).await?, (2, 1, 0));
    assert_eq!(take(store, "a", spec, 2).await?, (1, 0, 40_000));
    subject.advance_ms(40_000);
    assert_eq!(take(store, "a", spec, 2).await?, (2, 1, 0));
    let hours = 3_600_000;
    let day = store.take_quota("day", window(1, QuotaUnit::Day), 2).await?;
    assert_eq!(day.retry_after_ms, 16 * hours - 60_000);
    let month = store.take_quota("month", window(1, QuotaUnit::Month), 2).await?;
    assert_eq!(month.retry_after_ms, 16 * 24 * hours + 16 * hours - 60_000);
    subject.advance_ms(month.retry_after_ms);
    assert_eq!(
        store.take_quota("month", window(1, QuotaUnit::Month), 1).await?.granted,
        1
    );
    assert_eq!(
        take(store, "none", window(0, QuotaUnit::Second), 1).await?,
        (0, 0, 1_000)
    );
    Ok(())
}

pub(super) async fn keys_are_bounded(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let spec = window(1, QuotaUnit::Day);
    for number in 0..50 {
        assert_eq!(take(store, &format!("k{number}"), spec, 1).await?.0, 1);
    }
    // Fifty are the most; those that end latest are kept longest.
    let slow = window(1, QuotaUnit::Month);
    for number in 0..20 {
        assert_eq!(take(store, &format!("m{number}"), slow, 1).await?.0, 1);
    }
    for number in 0..20 {
        assert_eq!(take(store, &format!("m{number}"), slow, 1).await?.0, 0, "m{number}");
    }
    Ok(())
}
