//! The cache.

use bytes::Bytes;

use super::Subject;
use crate::cache::{CacheEntry, CacheFilter, CacheMatch, CacheValue};
use crate::engine::Store;
use crate::error::StoreError;

fn value(text: &str) -> CacheValue {
    CacheValue {
        body: Bytes::from(text.to_owned()),
        is_json: true,
    }
}

fn entry(text: &str, expires_in_ms: Option<u64>) -> CacheEntry {
    CacheEntry {
        value: value(text),
        expires_in_ms,
    }
}

fn filter(by: CacheMatch, text: &str) -> CacheFilter {
    CacheFilter {
        by,
        text: text.to_owned(),
    }
}

async fn fill(store: &Store, keys: &[&str]) -> Result<(), StoreError> {
    for key in keys {
        store.cache_set("c", key, value(key), None, false).await?;
    }
    Ok(())
}

pub(super) async fn values_are_kept_until_they_end(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    assert_eq!(store.cache_get("c", "a").await?, None);
    assert_eq!(store.cache_set("c", "a", value("1"), Some(1_000), false).await?, None);
    assert_eq!(store.cache_get("other", "a").await?, None, "caches are apart");
    subject.advance_ms(400);
    assert_eq!(store.cache_get("c", "a").await?, Some(entry("1", Some(600))));
    let before = store.cache_set("c", "a", value("2"), Some(1_000), true).await?;
    assert_eq!(
        before,
        Some(entry("1", Some(600))),
        "it is there, so nothing was written"
    );
    assert_eq!(
        store.cache_expire("c", "a", Some(5_000)).await?,
        Some(entry("1", Some(600)))
    );
    subject.advance_ms(4_999);
    assert_eq!(store.cache_get("c", "a").await?, Some(entry("1", Some(1))));
    subject.advance_ms(1);
    assert_eq!(store.cache_set("c", "a", value("3"), None, true).await?, None);
    assert_eq!(store.cache_delete("c", "a").await?, Some(entry("3", None)));
    assert_eq!(store.cache_delete("c", "a").await?, None);
    assert_eq!(store.cache_expire("c", "a", None).await?, None);
    Ok(())
}

pub(super) async fn keys_are_chosen(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    fill(store, &["user.1", "user.2", "order.1", "x.user"]).await?;
    let all = store.cache_keys("c", None).await?;
    assert_eq!(all, ["order.1", "user.1", "user.2", "x.user"]);
    let cases = [
        (CacheMatch::Prefix, "user", vec!["user.1", "user.2"]),
        (CacheMatch::Suffix, ".1", vec!["order.1", "user.1"]),
        (CacheMatch::Contains, "user", vec!["user.1", "user.2", "x.user"]),
        (CacheMatch::Regex, r"^\w+\.[12]$", vec!["order.1", "user.1", "user.2"]),
    ];
    for (by, text, expected) in cases {
        assert_eq!(store.cache_keys("c", Some(filter(by, text))).await?, expected);
    }
    let values = store.cache_get_by("c", filter(CacheMatch::Prefix, "user")).await?;
    assert_eq!(values.get("user.2"), Some(&value("user.2")));
    assert_eq!(
        store
            .cache_delete_by("c", Some(filter(CacheMatch::Prefix, "user")))
            .await?,
        2
    );
    assert_eq!(store.cache_delete_by("c", None).await?, 2);
    assert_eq!(store.cache_keys("c", None).await?, Vec::<String>::new());
    let wrong = store.cache_keys("c", Some(filter(CacheMatch::Regex, "("))).await;
    assert!(matches!(wrong, Err(StoreError::Invalid(_))), "{wrong:?}");
    Ok(())
}

pub(super) async fn numbers_are_added_to(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    assert_eq!(store.cache_increment("c", "n", 2, Some(1_000)).await?, 2);
    assert_eq!(store.cache_increment("c", "n", -5, Some(9_000)).await?, -3);
    assert_eq!(store.cache_get("c", "n").await?, Some(entry("-3", Some(1_000))));
    store.cache_set("c", "n", value("\"text\""), None, false).await?;
    let wrong = store.cache_increment("c", "n", 1, None).await;
    assert!(matches!(wrong, Err(StoreError::Invalid(_))), "{wrong:?}");
    store
        .cache_set("c", "n", value(&i64::MAX.to_string()), None, false)
        .await?;
    assert!(store.cache_increment("c", "n", 1, None).await.is_err());
    Ok(())
}

pub(super) async fn what_is_used_least_is_evicted(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    fill(store, &["a", "b", "c", "d"]).await?;
    store.cache_get("c", "a").await?;
    fill(store, &["e"]).await?;
    assert_eq!(store.cache_keys("c", None).await?, ["a", "c", "d", "e"], "four fit");
    let large = "x".repeat(8_000);
    store.cache_set("c", "f", value(&large), None, false).await?;
    store.cache_set("c", "g", value(&large), None, false).await?;
    assert_eq!(store.cache_keys("c", None).await?, ["g"], "bytes count too");
    let too_large = store.cache_set("c", "h", value(&"x".repeat(9_000)), None, false).await;
    assert!(matches!(too_large, Err(StoreError::Invalid(_))), "{too_large:?}");
    let too_long = store.cache_set("c", &"k".repeat(101), value("1"), None, false).await;
    assert!(matches!(too_long, Err(StoreError::Invalid(_))), "{too_long:?}");
    Ok(())
}
