//! The cluster's secrets.

use tenon_model::Problem;
use tenon_protocol::control::{DeleteSecret, ListSecrets, Nothing, Page, PutSecret, SecretSummary};

use super::endpoint::{ApiCall, Routes, store_problem};

pub(super) fn add(routes: &mut Routes) {
    routes.add::<ListSecrets, _, _>(list);
    routes.add::<PutSecret, _, _>(put);
    routes.add::<DeleteSecret, _, _>(delete);
}

async fn list(call: ApiCall<ListSecrets>) -> Result<Page<SecretSummary>, Problem> {
    let secrets = call.api.store.secrets().await.map_err(|error| store_problem(&error))?;
    let items = secrets
        .into_iter()
        .map(|secret| SecretSummary {
            name: secret.name,
            updated_at: secret.updated_at,
        })
        .collect();
    Ok(Page { items, next: None })
}

async fn put(call: ApiCall<PutSecret>) -> Result<SecretSummary, Problem> {
    let sealed = call.api.secrets.key.seal(call.body.value.reveal(), &*call.api.random);
    let name = call.params.name;
    let updated_at = call
        .api
        .store
        .put_secret(&name, &sealed, &call.caller.name)
        .await
        .map_err(|error| store_problem(&error))?;
    Ok(SecretSummary { name, updated_at })
}

async fn delete(call: ApiCall<DeleteSecret>) -> Result<Nothing, Problem> {
    let deleted = call.api.store.delete_secret(&call.params.name, &call.caller.name).await;
    deleted.map_err(|error| store_problem(&error))?;
    Ok(Nothing {})
}
