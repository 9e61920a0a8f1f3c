//! Channels, as their callers see them.

use serde_json::Value;
use tenon_model::Problem;
use tenon_protocol::control::GetOpenApi;

use super::endpoint::{ApiCall, Routes};

pub(super) fn add(routes: &mut Routes) {
    routes.add::<GetOpenApi, _, _>(openapi);
}

async fn openapi(call: ApiCall<GetOpenApi>) -> Result<Value, Problem> {
    let json = call.api.openapi.json().await;
    serde_json::from_slice(&json).map_err(|_| Problem::new(500, "internal", "the document could not be made"))
}
