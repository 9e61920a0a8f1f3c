//! Manifests: plan, apply, export.

use std::sync::Arc;

use tenon_model::Problem;
use tenon_protocol::control::{ApplyManifests, ApplyReply, ApplyRequest, ExportManifests, Plan, PlanManifests};

use super::endpoint::{ApiCall, Routes, store_problem};
use crate::aside::aside;

pub(super) fn add(routes: &mut Routes) {
    routes.add::<PlanManifests, _, _>(plan);
    routes.add::<ApplyManifests, _, _>(apply);
    routes.add::<ExportManifests, _, _>(export);
}

async fn plan(call: ApiCall<PlanManifests>) -> Result<Plan, Problem> {
    call.api
        .writer
        .plan(call.body)
        .await
        .map_err(|error| error.to_problem(store_problem))
}

async fn apply(call: ApiCall<ApplyManifests>) -> Result<ApplyReply, Problem> {
    let applied = call.api.writer.apply(call.body, &call.caller.name).await;
    applied.map_err(|error| error.to_problem(store_problem))
}

async fn export(call: ApiCall<ExportManifests>) -> Result<ApplyRequest, Problem> {
    let set = call.api.store.objects().await.map_err(|error| store_problem(&error))?;
    let catalog = Arc::clone(&call.api.catalog);
    let objects = aside(move || tenon_manifest::export(&catalog, &set.objects)).await;
    Ok(ApplyRequest {
        objects,
        ..ApplyRequest::default()
    })
}
