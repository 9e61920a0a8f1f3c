//! Objects, their kinds, and trying outgoing connections.

use std::time::{Duration, Instant};

use tenon_manifest::mask;
use tenon_model::{Object, ObjectKey, Problem};
use tenon_protocol::control::{
    DeleteObject, GetObject, KindDescription, ListKinds, ListObjects, ManifestObject, Page, PingOutgoing, PingReply,
    PutObject, WriteReply,
};

use super::Api;
use super::endpoint::{ApiCall, Routes, page_of, store_problem};

const PING_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn add(routes: &mut Routes) {
    routes.add::<ListKinds, _, _>(kinds);
    routes.add::<ListObjects, _, _>(list);
    routes.add::<GetObject, _, _>(get);
    routes.add::<PutObject, _, _>(put);
    routes.add::<DeleteObject, _, _>(delete);
    routes.add::<PingOutgoing, _, _>(ping);
}

async fn kinds(call: ApiCall<ListKinds>) -> Result<Page<KindDescription>, Problem> {
    let items = call.api.catalog.iter().map(|kind| KindDescription {
        name: kind.name.to_owned(),
        title: kind.title.to_owned(),
        group: kind.group,
        only_name: kind.only_name.map(str::to_owned),
        schema: kind.schema.clone(),
    });
    Ok(Page {
        items: items.collect(),
        next: None,
    })
}

async fn list(call: ApiCall<ListObjects>) -> Result<Page<Object>, Problem> {
    let snapshot = call.api.snapshot.load_full();
    let kind = call.params.kind.as_deref();
    let wanted = snapshot
        .objects()
        .filter(|object| kind.is_none_or(|kind| object.kind == kind));
    let page = page_of(
        wanted,
        |object| object.key().to_string(),
        call.params.after.as_deref(),
        call.params.limit,
    );
    Ok(Page {
        items: page.items.iter().map(|object| masked(&call.api, object)).collect(),
        next: page.next,
    })
}

async fn get(call: ApiCall<GetObject>) -> Result<Object, Problem> {
    let key = ObjectKey::new(call.params.kind, call.params.name);
    let found = call
        .api
        .store
        .object(&key)
        .await
        .map_err(|error| store_problem(&error))?;
    let object =
        found.ok_or_else(|| Problem::new(404, "not-found", format!("no {} is called '{}'", key.kind, key.name)))?;
    Ok(masked(&call.api, &object))
}

/// The object as it may be shown.
fn masked(api: &Api, object: &Object) -> Object {
    let body = api
        .catalog
        .get(&object.kind)
        .map_or_else(|| object.body.clone(), |kind| mask(kind, &object.body));
    Object { body, ..object.clone() }
}

async fn put(call: ApiCall<PutObject>) -> Result<WriteReply, Problem> {
    let object = ManifestObject {
        kind: call.params.kind,
        name: call.params.name,
        body: call.body.body,
        manifest: None,
    };
    let writer = &call.api.writer;
    let written = writer
        .put(object, call.params.if_version.or(call.if_match), &call.caller.name)
        .await;
    let (revision, version) = written.map_err(|error| error.to_problem(store_problem))?;
    let acknowledged = writer.wait(revision, call.params.wait_ms).await;
    Ok(WriteReply {
        revision,
        version,
        acknowledged,
    })
}

async fn delete(call: ApiCall<DeleteObject>) -> Result<WriteReply, Problem> {
    let key = ObjectKey::new(call.params.kind, call.params.name);
    let writer = &call.api.writer;
    let deleted = writer
        .delete(&key, call.params.if_version.or(call.if_match), &call.caller.name)
        .await;
    let revision = deleted.map_err(|error| error.to_problem(store_problem))?;
    let acknowledged = writer.wait(revision, call.params.wait_ms).await;
    Ok(WriteReply {
        revision,
        version: 0,
        acknowledged,
    })
}

async fn ping(call: ApiCall<PingOutgoing>) -> Result<PingReply, Problem> {
    let (kind, name) = (&call.params.kind, call.params.name.as_str());
    let connection = call.api.snapshot.load().outgoing(kind, name);
    let connection = connection.map_err(|message| Problem::new(404, "not-found", message))?;
    let started = Instant::now();
    let answered = connection.ping(Some(tokio::time::Instant::now() + PING_TIMEOUT)).await;
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(match answered {
        Ok(detail) => PingReply {
            ok: true,
            detail,
            duration_ms,
        },
        Err(error) => PingReply {
            ok: false,
            detail: error.to_string(),
            duration_ms,
        },
    })
}
