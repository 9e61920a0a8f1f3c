//! Reports.

use super::Subject;
use crate::error::StoreError;

pub(super) async fn the_last_word_of_each_is_kept_for_a_while(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    store.put_report("b", "1".to_owned()).await?;
    store.put_report("a", "2".to_owned()).await?;
    subject.advance_ms(1_000);
    store.put_report("b", "3".to_owned()).await?;
    let known = store.reports().await?;
    let seen: Vec<_> = known
        .iter()
        .map(|report| {
            (
                report.name.as_str(),
                report.body.as_str(),
                report.at.since(super::START).as_secs(),
            )
        })
        .collect();
    assert_eq!(seen, [("a", "2", 0), ("b", "3", 1)]);
    let long = store.put_report("a", "x".repeat(1024 * 1024 + 1)).await;
    assert!(matches!(long, Err(StoreError::Invalid(_))), "{long:?}");
    subject.advance_ms(599_500);
    let names: Vec<String> = store.reports().await?.into_iter().map(|report| report.name).collect();
    assert_eq!(names, ["b"], "who says nothing for long is forgotten");
    Ok(())
}

pub(super) async fn who_spoke_longest_ago_makes_room(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    for number in 0..65 {
        store.put_report(&format!("c{number}"), String::new()).await?;
        subject.advance_ms(1);
    }
    let names: Vec<String> = store.reports().await?.into_iter().map(|report| report.name).collect();
    assert_eq!(names.len(), 64);
    assert!(!names.contains(&"c0".to_owned()), "{names:?}");
    Ok(())
}
