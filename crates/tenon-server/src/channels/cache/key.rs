//! What makes two requests the same.

use http::header::{AUTHORIZATION, COOKIE};
use ring::digest::{Context, SHA256};
use tenon_connectors::ResponseCache;

use crate::call::CallerIdentity;
use crate::channels::format::ReadBody;
use crate::channels::plane::Arrival;

/// Names a request: the same for all that may have the same answer.
pub(in crate::channels) type Key = [u8; 32];

/// The key of a request by the rules of its channel.
pub(in crate::channels) fn key_of(
    policy: &ResponseCache,
    arrival: &Arrival,
    caller: Option<&CallerIdentity>,
    body: &ReadBody,
) -> Key {
    let mut digest = Digest(Context::new(&SHA256));
    let parts = &arrival.parts;
    digest.add(&arrival.route.serial.to_be_bytes());
    // A channel for GET answers HEAD with the head of what it answers GET with.
    let method = arrival.route.http.method.as_ref().unwrap_or(&parts.method);
    digest.add(method.as_str().as_bytes());
    digest.add(parts.uri.path().as_bytes());
    let mut query: Vec<&str> = parts.uri.query().unwrap_or_default().split('&').collect();
    query.retain(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        !pair.is_empty() && !policy.ignored_query_parameters.iter().any(|ignored| ignored == name)
    });
    // Parameters in another order are the same; those that repeat stay in theirs.
    query.sort_by_key(|pair| pair.split('=').next());
    digest.add(&u64::try_from(query.len()).unwrap_or(u64::MAX).to_be_bytes());
    for pair in query {
        digest.add(pair.as_bytes());
    }
    for name in &policy.vary_by_headers {
        for value in parts.headers.get_all(name) {
            digest.add(value.as_bytes());
        }
        digest.add(b"");
    }
    if !policy.shared_across_callers {
        if let Some(caller) = caller {
            for text in [&caller.kind, &caller.name, &caller.username] {
                digest.add(text.as_bytes());
            }
        }
        // A service of an open channel may look at these by itself.
        for name in [AUTHORIZATION, COOKIE] {
            for value in parts.headers.get_all(name) {
                digest.add(value.as_bytes());
            }
            digest.add(b"");
        }
    }
    if policy.include_body_in_key {
        digest.add(body.raw.as_ref().unwrap_or(&body.bytes));
    }
    digest.end()
}

/// Texts one after the other, each with its length, so that none runs into the next.
pub(in crate::channels) struct Digest(pub(in crate::channels) Context);

impl Digest {
    pub(in crate::channels) fn add(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }

    pub(in crate::channels) fn end(self) -> [u8; 32] {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.finish().as_ref());
        key
    }
}
