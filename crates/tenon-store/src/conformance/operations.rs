//! Writes that are repeated.

use serde_json::json;
use tenon_model::{ObjectKey, OperationId};
use tokio_util::task::TaskTracker;

use super::Subject;
use crate::engine::{Call, Reply};
use crate::error::StoreError;
use crate::objects::{ObjectChange, ObjectReply, ObjectRequest};

fn put(name: &str, if_version: Option<u64>) -> ObjectRequest {
    ObjectRequest::Write {
        changes: vec![ObjectChange::Put {
            key: ObjectKey::new("sample", name.parse().expect("a name")),
            body: json!({}),
            manifest: None,
            if_version,
        }],
        actor: "me".to_owned(),
    }
}

fn call(id: &str, request: ObjectRequest) -> Call {
    Call {
        operation: Some(OperationId::from_text(id)),
        request: request.into(),
    }
}

pub(super) async fn a_repeated_write_is_done_once(subject: Subject) -> Result<(), StoreError> {
    let engine = subject.store.engine();
    let first = engine.execute(call("1", put("a", None))).await?;
    assert_eq!(engine.execute(call("1", put("a", None))).await?, first);
    assert_eq!(subject.store.objects().await?.objects[0].version, 1);
    let Reply::Objects(ObjectReply::Written(second)) = engine.execute(call("2", put("a", None))).await? else {
        return Err(StoreError::Protocol("another reply".to_owned()));
    };
    assert_eq!(second.objects[0].version, 2);
    assert_eq!(
        engine.execute(call("1", put("a", None))).await?,
        first,
        "also after others"
    );
    Ok(())
}

pub(super) async fn an_error_is_not_remembered(subject: Subject) -> Result<(), StoreError> {
    let engine = subject.store.engine();
    let refused = engine.execute(call("1", put("a", Some(1)))).await;
    assert!(
        matches!(refused, Err(StoreError::VersionConflict { .. })),
        "{refused:?}"
    );
    engine.execute(call("2", put("a", None))).await?;
    engine.execute(call("1", put("a", Some(1)))).await?;
    assert_eq!(subject.store.objects().await?.objects[0].version, 2);
    Ok(())
}

pub(super) async fn many_writers_lose_nothing(subject: Subject) -> Result<(), StoreError> {
    let tasks = TaskTracker::new();
    let writers: Vec<_> = (0..20)
        .map(|writer| {
            let store = subject.store.clone();
            tasks.spawn(async move {
                for number in 0..10 {
                    let own = put(&format!("w{writer}-{number}"), Some(0));
                    store.call(own).await?;
                    store.call(put("shared", None)).await?;
                }
                Ok::<(), StoreError>(())
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("a writer does not panic")?;
    }
    let set = subject.store.objects().await?;
    assert_eq!(set.objects.len(), 201);
    assert_eq!(set.revision.0, 400);
    let shared = set.objects.iter().find(|object| object.name.as_str() == "shared");
    assert_eq!(shared.map(|object| object.version), Some(200));
    Ok(())
}
