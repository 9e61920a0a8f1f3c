//! How an endpoint is described: once, as a type.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenon_model::Access;

/// The HTTP methods that the control API uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Does something.
    Post,
    /// Creates or replaces.
    Put,
    /// Removes.
    Delete,
}

impl Method {
    /// The method as HTTP writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        }
    }
}

/// One operation of the control API.
pub trait Endpoint: Send + Sync + 'static {
    /// The operation's name in the OpenAPI document, such as `listServices`.
    const ID: &'static str;
    /// Its method.
    const METHOD: Method;
    /// Its path, with parameters in braces: `/v1/services/{name}`.
    const PATH: &'static str;
    /// Who may call it; none for what may be called without being known (logging in).
    const ACCESS: Option<Access>;
    /// What it does, in one sentence.
    const SUMMARY: &'static str;
    /// Path and query parameters, in one struct of texts, numbers and booleans. Fields named in `PATH` go into the path.
    type Params: Serialize + DeserializeOwned + JsonSchema + Send;
    /// The request's body; [`Nothing`] for none.
    type Body: Serialize + DeserializeOwned + JsonSchema + Send + 'static;
    /// The answer's body; [`Nothing`] for none.
    type Reply: Serialize + DeserializeOwned + JsonSchema + Send + 'static;
}

/// Defines endpoints: `/// Summary.` `Name = "operationId" GET "/v1/path" access(Params, Body) -> Reply;`
macro_rules! endpoint {
    ($(#[doc = $summary:literal] $name:ident = $id:literal $method:ident $path:literal $access:expr, ($params:ty, $body:ty) -> $reply:ty;)+) => {
        $(
            #[doc = $summary]
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl $crate::control::Endpoint for $name {
                const ID: &'static str = $id;
                const METHOD: $crate::control::Method = $crate::control::Method::$method;
                const PATH: &'static str = $path;
                const ACCESS: Option<tenon_model::Access> = $access;
                const SUMMARY: &'static str = $summary;
                type Params = $params;
                type Body = $body;
                type Reply = $reply;
            }
        )+
    };
}
pub(crate) use endpoint;

/// An endpoint as data, for the OpenAPI document and for checks.
#[derive(Debug, Clone)]
pub struct EndpointDescription {
    /// The operation's name.
    pub id: &'static str,
    /// Its method.
    pub method: Method,
    /// Its path.
    pub path: &'static str,
    /// Who may call it.
    pub access: Option<Access>,
    /// What it does.
    pub summary: &'static str,
    /// Schema of the parameters.
    pub params: Value,
    /// Schema of the body.
    pub body: Value,
    /// Schema of the answer.
    pub reply: Value,
}

impl EndpointDescription {
    /// Describes an endpoint. References in the schemas point to `#/components/schemas`.
    pub fn of<E: Endpoint>() -> Self {
        Self {
            id: E::ID,
            method: E::METHOD,
            path: E::PATH,
            access: E::ACCESS,
            summary: E::SUMMARY.trim(),
            params: schema_of::<E::Params>(),
            body: schema_of::<E::Body>(),
            reply: schema_of::<E::Reply>(),
        }
    }
}

fn schema_of<T: JsonSchema>() -> Value {
    schemars::generate::SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// No parameters.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
pub struct NoParams {}

/// No body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Nothing {}

/// Which part of a list is wanted: keyset paging.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct PageQuery {
    /// The `next` of the page before; none for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many at most; 100 if not given, never more than 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A part of a list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
// Without the parameter in its name every list would be the same schema in the OpenAPI document.
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// What to send as `after` for the next page; none if this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
