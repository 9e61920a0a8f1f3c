//! Secrets.

use tenon_model::ObjectName;

use super::{Subject, at, wait_for};
use crate::engine::Event;
use crate::error::StoreError;

pub(super) async fn secrets_are_kept_sealed(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let mut events = store.events();
    let name: ObjectName = "db".parse().expect("a name");
    assert_eq!(store.put_secret(&name, "sealed:1", "me").await?, super::START);
    wait_for(&mut events, |event| event == Event::Secrets).await?;
    subject.advance_ms(5);
    store.put_secret(&name, "sealed:2", "me").await?;
    let secrets = store.secrets().await?;
    assert_eq!(secrets.len(), 1);
    assert_eq!((secrets[0].sealed.as_str(), secrets[0].updated_at), ("sealed:2", at(5)));
    store.delete_secret(&name, "me").await?;
    assert!(store.secrets().await?.is_empty());
    let refused = store.delete_secret(&name, "me").await;
    assert!(matches!(refused, Err(StoreError::NotFound(_))), "{refused:?}");
    Ok(())
}
