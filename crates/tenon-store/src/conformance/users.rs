//! Users and sessions.

use tenon_model::Access;

use super::{Subject, at};
use crate::error::StoreError;

pub(super) async fn users_are_kept(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    store.put_user("b", "hash-1", Access::Viewer, "me").await?;
    store.put_user("a", "hash-2", Access::Admin, "me").await?;
    store.put_user("b", "hash-3", Access::Operator, "me").await?;
    let users: Vec<(String, String, Access)> = store
        .users()
        .await?
        .into_iter()
        .map(|user| (user.name, user.password_hash, user.access))
        .collect();
    let expected = [
        ("a".to_owned(), "hash-2".to_owned(), Access::Admin),
        ("b".to_owned(), "hash-3".to_owned(), Access::Operator),
    ];
    assert_eq!(users, expected);
    assert_eq!(store.user("none").await?, None);
    store.delete_user("b", "me").await?;
    assert_eq!(store.user("b").await?, None);
    let refused = store.delete_user("b", "me").await;
    assert!(matches!(refused, Err(StoreError::NotFound(_))), "{refused:?}");
    let actions: Vec<String> = store
        .audit(None, 9)
        .await?
        .into_iter()
        .map(|entry| entry.action)
        .collect();
    assert_eq!(actions, ["delete", "update", "create", "create"]);
    Ok(())
}

pub(super) async fn sessions_end(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let refused = store.put_session("token", "a", at(1_000)).await;
    assert!(matches!(refused, Err(StoreError::NotFound(_))), "{refused:?}");
    store.put_user("a", "hash", Access::Developer, "me").await?;
    store.put_session("token", "a", at(1_000)).await?;
    store.put_session("other", "a", at(1_000)).await?;
    let session = store.session("token").await?.expect("it has begun");
    assert_eq!(
        (session.user.as_str(), session.access, session.expires_at),
        ("a", Access::Developer, at(1_000))
    );
    store.put_user("a", "hash", Access::Viewer, "me").await?;
    let session = store.session("token").await?.expect("the password is the same");
    assert_eq!(session.access, Access::Viewer, "as it is now");
    store.delete_session("other").await?;
    assert_eq!(store.session("other").await?, None);
    subject.advance_ms(1_000);
    assert_eq!(store.session("token").await?, None);
    subject.engine.maintain().await
}

pub(super) async fn a_new_password_ends_sessions(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    store.put_user("a", "hash", Access::Developer, "me").await?;
    store.put_session("token", "a", at(1_000)).await?;
    store.put_user("a", "new-hash", Access::Developer, "me").await?;
    assert_eq!(store.session("token").await?, None);
    store.put_session("token", "a", at(1_000)).await?;
    store.delete_user("a", "me").await?;
    store.put_user("a", "hash", Access::Developer, "me").await?;
    assert_eq!(
        store.session("token").await?,
        None,
        "nor does a new user inherit sessions"
    );
    Ok(())
}
