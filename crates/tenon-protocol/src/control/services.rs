//! Services.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenon_model::Access;

use super::endpoint::{Nothing, Page, PageQuery, endpoint};

endpoint! {
    /// The services of the live deployment.
    ListServices = "listServices" Get "/v1/services" Some(Access::Viewer), (PageQuery, Nothing) -> Page<ServiceSummary>;
    /// One service.
    GetService = "getService" Get "/v1/services/{name}" Some(Access::Viewer), (ServicePath, Nothing) -> ServiceSummary;
    /// Invokes a service and answers with what it answered.
    InvokeService = "invokeService" Post "/v1/services/{name}/invoke" Some(Access::Developer), (ServicePath, InvokeRequest) -> InvokeReply;
}

/// Which service is meant.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ServicePath {
    /// The service's name.
    pub name: String,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceSummary {
    /// Its name.
    pub name: String,
    /// The file that defines it, below `services/`.
    pub file: String,
    /// What its documentation says; empty if it has none.
    #[serde(default)]
    pub doc: String,
    /// The worker group that runs it.
    pub group: String,
    /// The deployment that it comes from.
    pub deployment: u64,
    /// Why it is not run any more until it is deployed anew; none if it is run.
    #[serde(default)]
    pub quarantine: Option<String>,
    /// Its declared input, as JSON Schema; none if it declares none.
    #[serde(default)]
    pub input: Option<Value>,
    /// Its declared output, as JSON Schema; none if it declares none.
    #[serde(default)]
    pub output: Option<Value>,
    /// The REST channels that call it, as `METHOD path`.
    #[serde(default)]
    pub channels: Vec<String>,
}

/// How to invoke a service.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct InvokeRequest {
    /// What the service gets as its payload; null for none.
    #[serde(default)]
    pub payload: Value,
    /// How long it may take in milliseconds; the server's default if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// What a service answered.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct InvokeReply {
    /// The status that the service gave, 200 if it gave none.
    pub status: u16,
    /// The media type of its answer.
    pub content_type: String,
    /// The answer if it is JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// The answer if it is other text; bytes that are no text are replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The call's correlation id.
    pub cid: String,
    /// How long it took.
    pub duration_ms: f64,
    /// The deployment that answered.
    pub deployment: u64,
}
