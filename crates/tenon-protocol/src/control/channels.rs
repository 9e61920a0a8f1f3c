//! Channels, as their callers see them.

use serde_json::Value;
use tenon_model::Access;

use super::endpoint::{NoParams, Nothing, endpoint};

endpoint! {
    /// The OpenAPI document of all channels.
    GetOpenApi = "getOpenApi" Get "/v1/openapi" Some(Access::Viewer), (NoParams, Nothing) -> Value;
}
