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
    /// Invokes a service on this very server, for a service of another server of the cluster. Only servers may.
    RelayInvoke = "relayInvoke" Post "/v1/services/{name}/relay" Some(Access::Viewer), (ServicePath, RelayRequest) -> RelayReply;
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

/// A service's call of a service on another server.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct RelayRequest {
    /// The correlation id of the call.
    pub cid: String,
    /// The service that calls.
    pub by: String,
    /// How many services invoked each other to get here.
    pub depth: u32,
    /// How long it may take in milliseconds.
    pub timeout_ms: u64,
    /// The payload in base64.
    pub body: String,
    /// Whether the payload is JSON.
    pub is_json: bool,
}

/// How a service's call of a service on another server ended.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct RelayReply {
    /// 0 if the service answered; else a status as HTTP has them.
    pub code: u16,
    /// What went wrong, in one word; empty if the service answered.
    pub kind: String,
    /// What went wrong; empty if the service answered.
    pub error: String,
    /// The status that the service gave, 200 if it gave none.
    pub status: u16,
    /// The media type of its answer, if it gave one.
    pub content_type: Option<String>,
    /// The answer in base64.
    pub body: String,
    /// Whether the answer is JSON.
    pub is_json: bool,
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
