//! Objects.

use serde_json::json;
use tenon_model::{ObjectKey, Revision};

use super::{Subject, wait_for};
use crate::engine::Event;
use crate::error::StoreError;
use crate::objects::ObjectChange;

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("sample-channel", name.parse().expect("a name"))
}

fn put(name: &str, number: u64, if_version: Option<u64>) -> ObjectChange {
    ObjectChange::Put {
        key: key(name),
        body: json!({ "number": number, "nested": {"list": [1, 2.5, null, "x"]} }),
        manifest: Some("a.yaml".to_owned()),
        if_version,
    }
}

fn delete(name: &str, if_version: Option<u64>) -> ObjectChange {
    ObjectChange::Delete {
        key: key(name),
        if_version,
    }
}

pub(super) async fn a_write_makes_one_revision(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    assert_eq!(store.objects().await?.revision, Revision(0));
    let written = store
        .write_objects(vec![put("b", 1, None), put("a", 1, None)], "me")
        .await?;
    assert_eq!(written.revision, Revision(1));
    let set = store.objects().await?;
    assert_eq!(set.revision, Revision(1));
    let names: Vec<&str> = set.objects.iter().map(|object| object.name.as_str()).collect();
    assert_eq!(names, ["a", "b"], "in the order of their names");
    assert!(set.objects.iter().all(|object| object.version == 1));
    assert_eq!(set.objects[1], written.objects[0]);
    assert_eq!(
        set.objects[0].body,
        json!({"number": 1, "nested": {"list": [1, 2.5, null, "x"]}})
    );
    subject.advance_ms(7);
    let again = store.write_objects(vec![put("a", 2, None)], "me").await?;
    assert_eq!((again.revision, again.objects[0].version), (Revision(2), 2));
    assert_eq!(again.objects[0].updated_at, super::at(7));
    assert_eq!(store.object(&key("a")).await?.as_ref(), again.objects.first());
    assert_eq!(store.object(&key("none")).await?, None);
    let nothing = store.write_objects(Vec::new(), "me").await?;
    assert_eq!(nothing.revision, Revision(2));
    Ok(())
}

pub(super) async fn writes_are_all_or_nothing(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    store.write_objects(vec![put("a", 1, None)], "me").await?;
    let before = store.objects().await?;
    let refused = store
        .write_objects(vec![put("b", 1, None), delete("a", None), put("a2", 1, Some(9))], "me")
        .await;
    assert!(
        matches!(refused, Err(StoreError::VersionConflict { .. })),
        "{refused:?}"
    );
    assert_eq!(store.objects().await?, before);
    let twice = store
        .write_objects(vec![put("b", 1, None), put("b", 2, None)], "me")
        .await;
    assert!(matches!(twice, Err(StoreError::Invalid(_))), "{twice:?}");
    assert_eq!(store.objects().await?, before);
    Ok(())
}

pub(super) async fn versions_guard_writes(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    store.write_objects(vec![put("a", 1, Some(0))], "me").await?;
    store.write_objects(vec![put("a", 2, Some(1))], "me").await?;
    for (change, expected) in [
        (put("a", 3, Some(1)), 1),
        (put("a", 3, Some(0)), 0),
        (delete("a", Some(1)), 1),
    ] {
        let found = store.write_objects(vec![change], "me").await;
        let conflict = StoreError::VersionConflict {
            key: key("a"),
            expected,
            found: 2,
        };
        assert_eq!(found, Err(conflict));
    }
    store.write_objects(vec![delete("a", Some(2))], "me").await?;
    assert_eq!(store.object(&key("a")).await?, None);
    Ok(())
}

pub(super) async fn a_delta_tells_what_changed(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    store
        .write_objects(vec![put("a", 1, None), put("b", 1, None), put("c", 1, None)], "me")
        .await?;
    store.write_objects(vec![put("a", 2, None)], "me").await?;
    store
        .write_objects(vec![put("a", 3, None), delete("b", None)], "me")
        .await?;
    let delta = store.objects_since(Revision(1)).await?;
    assert!(delta.complete);
    assert_eq!(delta.revision, Revision(3));
    assert_eq!(
        delta.changed.len(),
        1,
        "an object written twice comes once, as it is now"
    );
    assert_eq!((delta.changed[0].name.as_str(), delta.changed[0].version), ("a", 3));
    assert_eq!(delta.removed, [key("b")]);
    let nothing = store.objects_since(Revision(3)).await?;
    assert!(nothing.complete && nothing.changed.is_empty() && nothing.removed.is_empty());
    assert!(
        !store.objects_since(Revision(4)).await?.complete,
        "a revision of another history"
    );
    assert!(store.objects_since(Revision(0)).await?.complete);
    Ok(())
}

pub(super) async fn a_log_that_was_trimmed_says_so(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    for number in 0..30 {
        store.write_objects(vec![put("a", number, None)], "me").await?;
    }
    // What is large is looked through once a minute only.
    subject.advance_ms(61_000);
    subject.engine.maintain().await?;
    assert!(!store.objects_since(Revision(5)).await?.complete);
    assert!(store.objects_since(Revision(12)).await?.complete);
    assert!(store.objects_since(Revision(30)).await?.complete);
    Ok(())
}

pub(super) async fn changes_are_recorded(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    store.write_objects(vec![put("a", 1, None)], "alice").await?;
    store.write_objects(vec![put("a", 2, None)], "bob").await?;
    store.write_objects(vec![delete("a", None)], "alice").await?;
    let entries = store.audit(None, 10).await?;
    let facts: Vec<(&str, &str, Option<Revision>)> = entries
        .iter()
        .map(|entry| (entry.actor.as_str(), entry.action.as_str(), entry.revision))
        .collect();
    let expected = [
        ("alice", "delete", Some(Revision(3))),
        ("bob", "update", Some(Revision(2))),
        ("alice", "create", Some(Revision(1))),
    ];
    assert_eq!(facts, expected);
    assert_eq!(
        (entries[0].kind.as_str(), entries[0].name.as_str()),
        ("sample-channel", "a")
    );
    let older = store.audit(Some(entries[0].id), 1).await?;
    assert_eq!(older, entries[1..2]);
    Ok(())
}

pub(super) async fn changes_are_announced(subject: Subject) -> Result<(), StoreError> {
    let mut events = subject.store.events();
    let written = subject.store.write_objects(vec![put("a", 1, None)], "me").await?;
    wait_for(&mut events, |event| event == Event::Objects(written.revision)).await
}

pub(super) async fn removing_nothing_is_an_error(subject: Subject) -> Result<(), StoreError> {
    let refused = subject.store.write_objects(vec![delete("none", None)], "me").await;
    assert_eq!(refused, Err(StoreError::NotFound("sample-channel/none".to_owned())));
    let refused = subject.store.write_objects(vec![delete("none", Some(1))], "me").await;
    assert!(
        matches!(refused, Err(StoreError::VersionConflict { found: 0, .. })),
        "{refused:?}"
    );
    Ok(())
}
