//! A document on the web that the server itself reads now and then, such as an issuer's keys.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HOST, HeaderValue, USER_AGENT};
use http::{Request, request};
use serde_json::Map;
use tokio::time::Instant;

use super::client::{Client, Limits, Outbound, SendError};
use super::connect::Dialer;
use super::target::UrlTemplate;

/// The largest document that is read.
const BYTES_MAX: u64 = 1024 * 1024;
/// How long a connection waits for the next time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// A document at a fixed address.
#[derive(Debug)]
pub struct WebDocument {
    client: Client,
    head: request::Parts,
}

impl WebDocument {
    /// A document at a URL; over TLS, the certificate authorities of the PEM file are trusted. Nothing is connected yet. Must
    /// be called within a tokio runtime. The error is a sentence.
    pub fn new(url: &str, ca_file: &Path) -> Result<Self, String> {
        let url: UrlTemplate = url.parse()?;
        let target = url.fill(&Map::new())?;
        let host = HeaderValue::from_str(&url.origin.authority).map_err(|error| error.to_string())?;
        let request = Request::get(target)
            .header(USER_AGENT, concat!("tenon/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json")
            .header(HOST, host)
            .body(());
        let (head, ()) = request.map_err(|error| error.to_string())?.into_parts();
        let dialer = Dialer::new(&url.origin, ca_file, true).map_err(|error| error.to_string())?;
        let limits = Limits {
            connections_max: 1,
            connect_timeout: IDLE_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            response_limit_bytes: BYTES_MAX,
        };
        Ok(Self {
            client: Client::new(dialer, limits),
            head,
        })
    }

    /// Reads it. Redirects are not followed. The error is a sentence.
    pub async fn fetch(&self, deadline: Instant) -> Result<Bytes, String> {
        let outbound = Outbound {
            head: self.head.clone(),
            body: Bytes::new(),
        };
        let response = self
            .client
            .send(&outbound, deadline)
            .await
            .map_err(|error| match error {
                SendError::NotSent(reason) | SendError::Broken(reason) | SendError::BadAnswer(reason) => reason,
                SendError::TimedOut => "no whole answer came in time".to_owned(),
                SendError::Closed => "the connection was closed".to_owned(),
            })?;
        if response.status() != http::StatusCode::OK {
            return Err(format!("the answer was {}", response.status()));
        }
        Ok(response.into_body())
    }
}
