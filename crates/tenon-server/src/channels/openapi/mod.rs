//! The OpenAPI document of all channels, and a page that shows it.
//!
//! `/openapi.json` and `/openapi` are answered where no channel has these paths. The document is made when somebody asks for it,
//! and kept until objects or deployments change. Nothing of it names services, security definitions or anything else of the
//! inside.

mod document;
mod operation;
mod page;
mod schemas;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenon_protocol::control::ServiceSummary;
use tokio::sync::Mutex;

use crate::security::{Refusal, Visitor};
use crate::services::Services;
use crate::snapshot::{Snapshot, SnapshotCell};

/// What the OpenAPI document says of itself, and who may see it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenApiSettings {
    /// Whether `/openapi.json` and `/openapi` are answered at all.
    pub public: bool,
    /// Names of security definitions and groups any of which lets a request see them; empty lets in everybody.
    pub security: Vec<String>,
    /// The document's title.
    pub title: String,
    /// The version of the API that it describes.
    pub version: String,
    /// What the API is for, in Markdown.
    pub description: String,
    /// Whom to ask about it.
    pub contact: Contact,
    /// Under which terms it may be used.
    pub license: License,
}

/// Whom to ask about an API. Fields that are empty are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Contact {
    /// Who they are.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Their page.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Their address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub email: String,
}

impl Default for OpenApiSettings {
    fn default() -> Self {
        Self {
            public: true,
            security: Vec::new(),
            title: "API".to_owned(),
            version: "1".to_owned(),
            description: "Made of the channels and of what their services declare.".to_owned(),
            contact: Contact::default(),
            license: License::default(),
        }
    }
}

/// The terms of an API. Without a name nothing is said of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct License {
    /// What they are called.
    pub name: String,
    /// Where they are to be read.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub url: String,
}

/// Makes and keeps the document.
#[derive(Debug)]
pub(crate) struct OpenApi {
    snapshot: Arc<SnapshotCell>,
    services: Services,
    settings: OpenApiSettings,
    kept: Mutex<Option<Kept>>,
}

/// A document, and what it was made of.
#[derive(Debug, Clone)]
struct Kept {
    snapshot: Weak<Snapshot>,
    deployments: u64,
    json: Bytes,
    etag: HeaderValue,
}

/// What a service says of itself.
#[derive(Debug)]
struct Described {
    summary: ServiceSummary,
    /// The methods that it has handlers for; none if it takes any.
    methods: Option<Vec<String>>,
}

/// The two paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnPath {
    Document,
    Page,
}

impl OwnPath {
    /// The path of this text, if it is one of the two.
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            "/openapi.json" => Some(Self::Document),
            "/openapi" => Some(Self::Page),
            _ => None,
        }
    }
}

impl OpenApi {
    /// Describes the channels of a snapshot with what services say of themselves.
    pub(crate) fn new(snapshot: Arc<SnapshotCell>, services: Services, settings: OpenApiSettings) -> Self {
        Self {
            snapshot,
            services,
            settings,
            kept: Mutex::default(),
        }
    }

    /// Answers a GET or HEAD; none if nothing is to be seen here.
    pub(super) async fn answer(
        &self,
        path: OwnPath,
        visitor: &Visitor<'_>,
    ) -> Option<Result<Response<Bytes>, Box<Refusal>>> {
        if !self.settings.public {
            return None;
        }
        let gate = self.snapshot.load().gate("openapi", &self.settings.security)?;
        if let Err(refusal) = gate.admit(visitor).await {
            return Some(Err(refusal));
        }
        Some(Ok(match path {
            OwnPath::Document => self.document_response(visitor.headers).await,
            OwnPath::Page => page_response(),
        }))
    }

    /// The document as it is now.
    pub(crate) async fn json(&self) -> Bytes {
        self.kept().await.json
    }

    async fn document_response(&self, headers: &HeaderMap) -> Response<Bytes> {
        let kept = self.kept().await;
        let is_known = headers
            .get_all(IF_NONE_MATCH)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == kept.etag.as_bytes());
        let mut response = Response::new(if is_known { Bytes::new() } else { kept.json });
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(ETAG, kept.etag);
        response
    }

    async fn kept(&self) -> Kept {
        let mut kept = self.kept.lock().await;
        let snapshot = self.snapshot.load_full();
        let deployments = *self.services.changes().borrow();
        if let Some(known) = kept.as_ref()
            && known.deployments == deployments
            && known.snapshot.as_ptr() == Arc::as_ptr(&snapshot)
        {
            return known.clone();
        }
        let services = self.services.list().into_iter().map(|summary| Described {
            methods: self.services.http_methods(&summary.name),
            summary,
        });
        let (services, settings): (Vec<Described>, _) = (services.collect(), self.settings.clone());
        let described = Arc::clone(&snapshot);
        // Many channels take a while; other requests should not wait for that.
        let made = tokio::task::spawn_blocking(move || document::document(&described, &services, &settings)).await;
        let json = Bytes::from(made.unwrap_or(Value::Null).to_string());
        let made = Kept {
            snapshot: Arc::downgrade(&snapshot),
            deployments,
            etag: etag(&json),
            json,
        };
        *kept = Some(made.clone());
        made
    }
}

fn page_response() -> Response<Bytes> {
    let mut response = Response::new(page::html());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(policy) = HeaderValue::from_str(&page::content_security_policy()) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// A strong tag of some bytes.
fn etag(bytes: &[u8]) -> HeaderValue {
    let mut text = String::from("\"");
    for byte in &digest(&SHA256, bytes).as_ref()[..16] {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('"');
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}
